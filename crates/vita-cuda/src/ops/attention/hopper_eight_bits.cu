// softmax(q k^T * scale) v for heads of 128, no mask, where the products are of eight-bit numbers, as Hopper does it
// best.
//
// Set from outside: T (bf16 or f16, of q and y), PACK (of T), VALUES (see eight_bits.cuh).
//
// All is as in hopper.cu, but: keys and values come quantised (quantise.cu), each warp quantises its own 16
// queries, each by its own scale, and what a tile adds to the result is summed on its own (see eight_bits.cu). Tiles of
// bytes are fetched as pairs of bytes.

constexpr int QUERIES = 128;
constexpr int KEYS = 128;
constexpr int STAGES = 2;
constexpr int WORKERS = 2;  // warpgroups that multiply
constexpr u32 TILE_BYTES = 128 * 128;
constexpr u32 VALUES_BYTES = VALUES == KEPT ? 2 * TILE_BYTES : TILE_BYTES;
constexpr u32 GROUP_BYTES = 8 * 128;
constexpr int KEY_TILES = KEYS / 8;

#if VALUES == E4M3
typedef float Part;
#define MULTIPLY_VALUES multiply_registers_e4m3
#else
typedef i32 Part;
#define MULTIPLY_VALUES multiply_registers_u8_s8
#endif

extern "C" __global__ void __launch_bounds__((1 + WORKERS) * 128, 1)
    attention_hopper_eight_bits(const T* q, const __grid_constant__ TensorMap k_map, const f32* key_scales,
                                const __grid_constant__ TensorMap v_map, const f32* value_scales, T* y, u64 q_stride,
                                u64 y_stride, u32 query_count, u32 key_count, float scale) {
    DYNAMIC_SHARED(memory);
    u32 queries = shared_address(memory), keys = queries + TILE_BYTES, values = keys + STAGES * TILE_BYTES;
    Barriers<STAGES> barriers{values + STAGES * VALUES_BYTES};
    u32 column = blockIdx.y * HEAD, first = blockIdx.x * QUERIES;
    u32 tiles = (key_count + KEYS - 1) / KEYS;
    if (threadIdx.x == 0) barriers.init(WORKERS * 4);
    __syncthreads();

    u32 group = threadIdx.x / 128;
    if (group == 0) {
        registers_down<24>();
        if (threadIdx.x == 0) {
            auto fetch_keys = [&](u32 tile) {
                u32 full = barriers.keys_full(tile);
                if (tile >= STAGES) barrier_wait(barriers.keys_empty(tile), barriers.parity(tile - STAGES));
                barrier_expect(full, TILE_BYTES);
                copy_tile(keys + tile % STAGES * TILE_BYTES, k_map, column / 2, tile * KEYS, full);
            };
            auto fetch_values = [&](u32 tile) {
                u32 to = values + tile % STAGES * VALUES_BYTES, full = barriers.values_full(tile);
                if (tile >= STAGES) barrier_wait(barriers.values_empty(tile), barriers.parity(tile - STAGES));
                barrier_expect(full, VALUES_BYTES);
#if VALUES == KEPT
                copy_tile(to, v_map, column, tile * KEYS, full);
                copy_tile(to + TILE_BYTES, v_map, column + 64, tile * KEYS, full);
#else
                copy_tile(to, v_map, tile * KEYS / 2, column, full);
#endif
            };
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
        u32 own = worker * 64 + warp * 16;
        f32* query_scales = reinterpret_cast<f32*>(memory + (1 + STAGES) * TILE_BYTES + STAGES * VALUES_BYTES + 128) + own;
        quantise_queries<16>(memory + own * HEAD, query_scales, q + column, q_stride, first + own, query_count,
                             scale * LOG2_E);
        writes_are_ready();
        meet(3 + worker, 128);

        u64 query_matrix = matrix_at(queries + worker * 64 * HEAD, GROUP_BYTES, 16);
        float query_scale[2] = {query_scales[lane / 4], query_scales[8 + lane / 4]};
        key_scales += blockIdx.y * tiles * 4 + lane % 4;
        float result[64];
        Row rows[2];
        i32 score[KEY_TILES][4];
        u32 weights[KEY_TILES / STEP_TILES][4];
#pragma unroll
        for (int i = 0; i < 64; i++) result[i] = 0;
        float key_scale = key_scales[0];

        // Starts score = q k^T for the tile.
        auto multiply_keys = [&](u32 tile) {
            u64 key_matrix = matrix_at(keys + tile % STAGES * TILE_BYTES, GROUP_BYTES, 16);
#pragma unroll
            for (int step = 0; step < HEAD / 32; step++)
                multiply_shared_s8(score, further(query_matrix, step * 32), further(key_matrix, step * 32), step > 0);
            products_commit();
        };
        // After the wait for them.
        auto take_scores = [&]() {
#pragma unroll
            for (int n = 0; n < KEY_TILES; n++) {
                hold(score[n]);
#pragma unroll
                for (int i = 0; i < 4; i++) score[n][i] += SHIFT_BITS;
            }
        };
        auto weigh_tile = [&](u32 tile) {
            if ((tile + 1) * KEYS > key_count) mask(score, tile * KEYS, key_count);
            weigh(score, 0, query_scale[0] * key_scale, rows[0]);
            weigh(score, 1, query_scale[1] * key_scale, rows[1]);
            key_scale = key_scales[min(tile + 1, tiles - 1) * 4];
        };
        auto pack_weights = [&]() {
            pack(score, weights, 0, rows[0]);
            pack(score, weights, 1, rows[1]);
        };
        auto release = [&](u32 barrier) {
            if (lane == 0) barrier_arrive(barrier);
        };

#if VALUES == KEPT
        // Starts result += weights v for the tile.
        auto multiply_values = [&](u32 tile) {
            u64 value_matrix = matrix_at(values + tile % STAGES * VALUES_BYTES, GROUP_BYTES, TILE_BYTES);
#pragma unroll
            for (int step = 0; step < KEYS / 16; step++)
                multiply_registers(result, weights[step], further(value_matrix, step * 16 * 128));
            products_commit();
        };
        // Makes the result relative to the maximum of the tile after.
        auto end_values = [&](const Row (&)[2], bool last) {
            hold(result);
            bool moved = rows[0].shrink != 1 || rows[1].shrink != 1;
            if (last || !__any_sync(0xffffffffu, moved)) return;
#pragma unroll
            for (int i = 0; i < 64; i++) result[i] *= rows[i / 2 % 2].shrink;
        };
#else
        // Starts part = weights v for the tile.
        Part part[HEAD / 8][4];
        auto multiply_values = [&](u32 tile) {
            u64 value_matrix = matrix_at(values + tile % STAGES * VALUES_BYTES, GROUP_BYTES, 16);
#pragma unroll
            for (int step = 0; step < KEYS / 32; step++)
                MULTIPLY_VALUES(part, weights[step], further(value_matrix, step * 32), step > 0);
            products_commit();
        };
        // Adds the part, which is relative to the maximum of its own tile.
        auto end_values = [&](const Row (&of_tile)[2], bool) {
#pragma unroll
            for (int n = 0; n < HEAD / 8; n++) hold(part[n]);
#pragma unroll
            for (int i = 0; i < 64; i++) {
                const Row& row = of_tile[i / 2 % 2];
                float added = (float)part[i / 4][i % 4];
                result[i] = result[i] * row.shrink + (VALUES == S8 ? added * row.spread : added);
            }
        };
#endif

        // The first worker's turn.
        if (worker == 1 && tiles > 1) announce(1, WORKERS * 128);
        barrier_wait(barriers.keys_full(0), 0);
        products_begin();
        multiply_keys(0);
        products_wait<0>();
        take_scores();
        release(barriers.keys_empty(0));
        weigh_tile(0);
        pack_weights();
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
            take_scores();
            release(barriers.keys_empty(tile));
            Row before[2] = {rows[0], rows[1]};
            weigh_tile(tile);
            products_wait<0>();
            release(barriers.values_empty(tile - 1));
            end_values(before, false);
            pack_weights();
        }
        barrier_wait(barriers.values_full(tiles - 1), barriers.parity(tiles - 1));
        hold(result);
        products_begin();
        multiply_values(tiles - 1);
        products_wait<0>();
        end_values(rows, true);

#pragma unroll
        for (int half = 0; half < 2; half++) {
            float back = 1.0f / total(rows[half]);
            u32 at = first + own + half * 8 + lane / 4;
            if (at >= query_count) continue;
#pragma unroll
            for (int n = 0; n < HEAD / 8; n++) {
                u32 of_head = n * 8 + lane % 4 * 2;
                float2 factor{back, back};
#if VALUES != KEPT
                float2 scales = *reinterpret_cast<const float2*>(value_scales + column + of_head);
                factor = float2{back * scales.x, back * scales.y};
#endif
                *reinterpret_cast<u32*>(y + at * y_stride + column + of_head) =
                    PACK(result[4 * n + 2 * half] * factor.x, result[4 * n + 2 * half + 1] * factor.y);
            }
        }
    }
}
