// softmax(q k^T * scale) v for heads of 128, no mask, on the matrix units that every card since Ampere has.
//
// Set from outside: T (bf16 or f16), MULTIPLY and PACK (of that type), KEYS (of a tile: 64, or 32 where shared
// memory is short).
//
// A block takes 128 queries of one head and walks over the keys, tile by tile, with the running maximum and sum of
// each query (Milakov and Gimelshein, "Online normalizer calculation for softmax"; Dao, "FlashAttention-2"). Each of
// its four warps owns 32 queries: enough that a fragment of keys read from shared memory serves two products. The
// next keys are on their way while the values are multiplied, the values while the keys are.
//
// A row of a tile is 256 bytes, sixteen pieces of 16; piece p of row r lies at p ^ (r % 8), so that the eight rows
// of a matrix load lie on different banks.

constexpr int HEAD = 128;
constexpr int QUERIES = 128;
constexpr int THREADS = 128;
constexpr int PIECES = HEAD * 2 / 16;
constexpr int BOTH = 2;              // tiles of 16 queries a warp
constexpr int KEY_TILES = KEYS / 8;  // of a tile of scores
constexpr float LOG2_E = 1.4426950408889634f;

inline u32 place(u32 row, u32 piece) { return row * (HEAD * 2) + ((piece ^ (row & 7)) << 4); }

// Rows of one head to shared memory; rows beyond the last are zeros.
template <int ROWS> inline void fetch(u32 to, const T* from, u64 stride, u32 first, u32 rows) {
    u32 piece = threadIdx.x % PIECES;
#pragma unroll
    for (int i = 0; i < ROWS * PIECES / THREADS; i++) {
        u32 row = threadIdx.x / PIECES + i * (THREADS / PIECES);
        bool valid = first + row < rows;
        copy_async_16(to + place(row, piece), from + (valid ? first + row : 0) * stride + piece * 8, valid);
    }
}

extern "C" __global__ void __launch_bounds__(THREADS, 2)
    attention(const T* q, const T* k, const T* v, T* y, u64 q_stride, u64 k_stride, u64 v_stride, u64 y_stride,
              u32 query_count, u32 key_count, float scale) {
    DYNAMIC_SHARED(memory);
    u32 queries = shared_address(memory);
    u32 keys = queries + QUERIES * HEAD * 2, values = keys + KEYS * HEAD * 2;
    u32 lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    u32 first = blockIdx.x * QUERIES;
    u64 head = (u64)blockIdx.y * HEAD;
    q += head, k += head, v += head, y += head;

    fetch<QUERIES>(queries, q, q_stride, first, query_count);
    fetch<KEYS>(keys, k, k_stride, 0, key_count);
    copy_async_commit();

    float sum[BOTH][2], most[BOTH][2], result[BOTH][HEAD / 8][4];
#pragma unroll
    for (int m = 0; m < BOTH; m++) {
        sum[m][0] = sum[m][1] = 0;
        most[m][0] = most[m][1] = -INFINITE;
#pragma unroll
        for (int n = 0; n < HEAD / 8; n++)
#pragma unroll
            for (int i = 0; i < 4; i++) result[m][n][i] = 0;
    }
    float factor = scale * LOG2_E;

    for (u32 start = 0; start < key_count; start += KEYS) {
        copy_async_wait<0>();
        __syncthreads();
        fetch<KEYS>(values, v, v_stride, start, key_count);
        copy_async_commit();

        float score[BOTH][KEY_TILES][4];
#pragma unroll
        for (int m = 0; m < BOTH; m++)
#pragma unroll
            for (int n = 0; n < KEY_TILES; n++)
#pragma unroll
                for (int i = 0; i < 4; i++) score[m][n][i] = 0;
#pragma unroll
        for (int step = 0; step < HEAD / 16; step++) {
            u32 a[BOTH][4];
#pragma unroll
            for (int m = 0; m < BOTH; m++)
                load_matrices(a[m], queries + place(warp * 32 + m * 16 + lane % 16, step * 2 + lane / 16));
#pragma unroll
            for (int n = 0; n < KEY_TILES; n += 2) {
                u32 b[4];
                load_matrices(b, keys + place(n * 8 + lane / 16 * 8 + lane % 8, step * 2 + lane / 8 % 2));
#pragma unroll
                for (int m = 0; m < BOTH; m++) {
                    MULTIPLY(score[m][n], a[m], b[0], b[1]);
                    MULTIPLY(score[m][n + 1], a[m], b[2], b[3]);
                }
            }
        }

        // The values have arrived, and every warp is done with the keys.
        copy_async_wait<0>();
        __syncthreads();
        if (start + KEYS < key_count) fetch<KEYS>(keys, k, k_stride, start + KEYS, key_count);
        copy_async_commit();

        if (start + KEYS > key_count) {
#pragma unroll
            for (int m = 0; m < BOTH; m++)
#pragma unroll
                for (int n = 0; n < KEY_TILES; n++)
#pragma unroll
                    for (int i = 0; i < 4; i++)
                        if (start + n * 8 + lane % 4 * 2 + i % 2 >= key_count) score[m][n][i] = -INFINITE;
        }
        // A lane holds parts of two rows of each tile of 16 queries; four lanes share a row.
#pragma unroll
        for (int m = 0; m < BOTH; m++) {
#pragma unroll
            for (int row = 0; row < 2; row++) {
                float now = most[m][row];
#pragma unroll
                for (int n = 0; n < KEY_TILES; n++)
                    now = fmaxf(now, fmaxf(score[m][n][2 * row], score[m][n][2 * row + 1]));
                now = fmaxf(now, __shfl_xor_sync(0xffffffffu, now, 1));
                now = fmaxf(now, __shfl_xor_sync(0xffffffffu, now, 2));
                float shrink = exp2_fast((most[m][row] - now) * factor), base = now * factor, part = 0;
                most[m][row] = now;
#pragma unroll
                for (int n = 0; n < KEY_TILES; n++) {
#pragma unroll
                    for (int i = 2 * row; i < 2 * row + 2; i++) {
                        float weight = exp2_fast(score[m][n][i] * factor - base);
                        score[m][n][i] = weight;
                        part += weight;
                    }
                }
                sum[m][row] = sum[m][row] * shrink + part;
#pragma unroll
                for (int n = 0; n < HEAD / 8; n++) {
                    result[m][n][2 * row] *= shrink;
                    result[m][n][2 * row + 1] *= shrink;
                }
            }
        }

        // What a product leaves is laid out as the next one takes it: two tiles of eight keys are a step of 16.
#pragma unroll
        for (int step = 0; step < KEYS / 16; step++) {
            u32 a[BOTH][4];
#pragma unroll
            for (int m = 0; m < BOTH; m++)
#pragma unroll
                for (int i = 0; i < 4; i++)
                    a[m][i] = PACK(score[m][2 * step + i / 2][i % 2 * 2], score[m][2 * step + i / 2][i % 2 * 2 + 1]);
#pragma unroll
            for (int n = 0; n < HEAD / 8; n += 2) {
                u32 b[4];
                load_matrices_transposed(b, values + place(step * 16 + lane % 16, n + lane / 16));
#pragma unroll
                for (int m = 0; m < BOTH; m++) {
                    MULTIPLY(result[m][n], a[m], b[0], b[1]);
                    MULTIPLY(result[m][n + 1], a[m], b[2], b[3]);
                }
            }
        }
    }

#pragma unroll
    for (int m = 0; m < BOTH; m++) {
#pragma unroll
        for (int row = 0; row < 2; row++) {
            float total = sum[m][row];
            total += __shfl_xor_sync(0xffffffffu, total, 1);
            total += __shfl_xor_sync(0xffffffffu, total, 2);
            float back = 1.0f / total;
            u32 at = first + warp * 32 + m * 16 + row * 8 + lane / 4;
            if (at >= query_count) continue;
#pragma unroll
            for (int n = 0; n < HEAD / 8; n++)
                *reinterpret_cast<u32*>(y + at * y_stride + n * 8 + lane % 4 * 2) =
                    PACK(result[m][n][2 * row] * back, result[m][n][2 * row + 1] * back);
        }
    }
}
