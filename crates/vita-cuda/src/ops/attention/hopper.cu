// softmax(q k^T * scale) v for heads of 128, no mask, as Hopper does it best.
//
// Set from outside: T (bf16 or f16) and PACK (of T).
//
// A block takes 128 queries of one head. One thread of the first warpgroup fetches tiles of 128 keys and values, two
// of each ahead; the two other warpgroups take 64 queries each. While a warpgroup weighs the scores of a tile, its
// product of the weights before with their values still runs, and the other warpgroup's products too: they take
// turns at issuing (Shah et al., "FlashAttention-3").
//
// A tile lies in two halves of 64 columns, each 128 rows of 128 bytes.

constexpr int HEAD = 128;
constexpr int QUERIES = 128;
constexpr int KEYS = 128;
constexpr int STAGES = 2;
constexpr int WORKERS = 2;  // warpgroups that multiply
constexpr u32 HALF_BYTES = 128 * 128, TILE_BYTES = 2 * HALF_BYTES;
constexpr u32 GROUP_BYTES = 8 * 128;
constexpr float LOG2_E = 1.4426950408889634f;

inline void fetch(u32 to, const TensorMap& map, u32 column, u32 row, u32 barrier) {
    barrier_expect(barrier, TILE_BYTES);
    copy_tile(to, map, column, row, barrier);
    copy_tile(to + HALF_BYTES, map, column + 64, row, barrier);
}

extern "C" __global__ void __launch_bounds__((1 + WORKERS) * 128, 1)
    attention_hopper(const __grid_constant__ TensorMap q_map, const __grid_constant__ TensorMap k_map,
                     const __grid_constant__ TensorMap v_map, T* y, u64 y_stride, u32 query_count, u32 key_count,
                     float scale) {
    DYNAMIC_SHARED(memory);
    u32 queries = shared_address(memory), keys = queries + TILE_BYTES, values = keys + STAGES * TILE_BYTES;
    Barriers<STAGES> barriers{values + STAGES * TILE_BYTES};
    u32 column = blockIdx.y * HEAD, first = blockIdx.x * QUERIES;
    u32 tiles = (key_count + KEYS - 1) / KEYS;
    if (threadIdx.x == 0) barriers.init(WORKERS * 4);
    __syncthreads();

    u32 group = threadIdx.x / 128;
    if (group == 0) {
        registers_down<24>();
        if (threadIdx.x == 0) {
            auto fetch_keys = [&](u32 tile) {
                if (tile >= STAGES) barrier_wait(barriers.keys_empty(tile), barriers.parity(tile - STAGES));
                fetch(keys + tile % STAGES * TILE_BYTES, k_map, column, tile * KEYS, barriers.keys_full(tile));
            };
            auto fetch_values = [&](u32 tile) {
                if (tile >= STAGES) barrier_wait(barriers.values_empty(tile), barriers.parity(tile - STAGES));
                fetch(values + tile % STAGES * TILE_BYTES, v_map, column, tile * KEYS, barriers.values_full(tile));
            };
            fetch(queries, q_map, column, first, barriers.queries());
            fetch_keys(0);
            for (u32 tile = 1; tile < tiles; tile++) {
                fetch_keys(tile);
                fetch_values(tile - 1);
            }
            fetch_values(tiles - 1);
        }
    } else {
        registers_up<240>();
        u32 lane = threadIdx.x % 32, warp = threadIdx.x / 32 % 4, worker = group - 1;
        u64 query_matrix = matrix_at(queries + worker * 64 * 128, GROUP_BYTES, 16);
        float factor = scale * LOG2_E;
        float score[64], result[64], most[2] = {-INFINITE, -INFINITE}, sum[2] = {0, 0}, shrink[2];
        u32 weights[KEYS / 16][4];
#pragma unroll
        for (int i = 0; i < 64; i++) result[i] = 0;

        // Starts score = q k^T for the tile.
        auto multiply_keys = [&](u32 tile) {
            u64 key_matrix = matrix_at(keys + tile % STAGES * TILE_BYTES, GROUP_BYTES, 16);
#pragma unroll
            for (int step = 0; step < HEAD / 16; step++) {
                u32 at = step / 4 * HALF_BYTES + step % 4 * 32;
                multiply_shared(score, further(query_matrix, at), further(key_matrix, at), step > 0);
            }
            products_commit();
        };
        // Starts result += weights v for the tile.
        auto multiply_values = [&](u32 tile) {
            u64 value_matrix = matrix_at(values + tile % STAGES * TILE_BYTES, GROUP_BYTES, HALF_BYTES);
#pragma unroll
            for (int step = 0; step < KEYS / 16; step++)
                multiply_registers(result, weights[step], further(value_matrix, step * 16 * 128));
            products_commit();
        };
        // Makes weights of the scores. A lane holds parts of two rows, eight apart; four lanes share a row.
        auto weigh = [&](u32 tile) {
            if ((tile + 1) * KEYS > key_count) {
#pragma unroll
                for (int i = 0; i < 64; i++)
                    if (tile * KEYS + i / 4 * 8 + lane % 4 * 2 + i % 2 >= key_count) score[i] = -INFINITE;
            }
#pragma unroll
            for (int row = 0; row < 2; row++) {
                float now = most[row];
#pragma unroll
                for (int n = 0; n < KEYS / 8; n++)
                    now = fmaxf(now, fmaxf(score[4 * n + 2 * row], score[4 * n + 2 * row + 1]));
                now = fmaxf(now, __shfl_xor_sync(0xffffffffu, now, 1));
                now = fmaxf(now, __shfl_xor_sync(0xffffffffu, now, 2));
                shrink[row] = exp2_fast((most[row] - now) * factor);
                float base = now * factor, part = 0;
                most[row] = now;
#pragma unroll
                for (int n = 0; n < KEYS / 8; n++) {
#pragma unroll
                    for (int i = 4 * n + 2 * row; i < 4 * n + 2 * row + 2; i++) {
                        score[i] = exp2_fast(score[i] * factor - base);
                        part += score[i];
                    }
                }
                sum[row] = sum[row] * shrink[row] + part;
            }
        };
        // What a product leaves is laid out as the next one takes it: two tiles of eight keys are a step of 16.
        auto pack = [&]() {
#pragma unroll
            for (int step = 0; step < KEYS / 16; step++)
#pragma unroll
                for (int i = 0; i < 4; i++)
                    weights[step][i] = PACK(score[8 * step + 2 * i], score[8 * step + 2 * i + 1]);
        };
        auto release = [&](u32 barrier) {
            if (lane == 0) barrier_arrive(barrier);
        };

        // The first worker's turn.
        if (worker == 1 && tiles > 1) announce(1, WORKERS * 128);
        barrier_wait(barriers.queries(), 0);
        barrier_wait(barriers.keys_full(0), 0);
        products_begin();
        multiply_keys(0);
        products_wait<0>();
        hold(score);
        release(barriers.keys_empty(0));
        weigh(0);
        pack();
        for (u32 tile = 1; tile < tiles; tile++) {
            barrier_wait(barriers.keys_full(tile), barriers.parity(tile));
            barrier_wait(barriers.values_full(tile - 1), barriers.parity(tile - 1));
            meet(1 + worker, WORKERS * 128);
            hold(result);
            products_begin();
            multiply_keys(tile);
            multiply_values(tile - 1);
            if (worker == 0 || tile + 1 < tiles) announce(2 - worker, WORKERS * 128);
            products_wait<1>();
            hold(score);
            release(barriers.keys_empty(tile));
            weigh(tile);
            products_wait<0>();
            hold(result);
            release(barriers.values_empty(tile - 1));
#pragma unroll
            for (int i = 0; i < 64; i++) result[i] *= shrink[i / 2 % 2];
            pack();
        }
        barrier_wait(barriers.values_full(tiles - 1), barriers.parity(tiles - 1));
        hold(result);
        products_begin();
        multiply_values(tiles - 1);
        products_wait<0>();
        hold(result);

#pragma unroll
        for (int row = 0; row < 2; row++) {
            float total = sum[row];
            total += __shfl_xor_sync(0xffffffffu, total, 1);
            total += __shfl_xor_sync(0xffffffffu, total, 2);
            float back = 1.0f / total;
            u32 at = first + worker * 64 + warp * 16 + row * 8 + lane / 4;
            if (at >= query_count) continue;
#pragma unroll
            for (int n = 0; n < HEAD / 8; n++)
                *reinterpret_cast<u32*>(y + at * y_stride + column + n * 8 + lane % 4 * 2) =
                    PACK(result[4 * n + 2 * row] * back, result[4 * n + 2 * row + 1] * back);
        }
    }
}
