// softmax(q k^T * scale) v for heads of 128, no mask, where the products are of eight-bit numbers.
//
// Set from outside: T (bf16 or f16, of q and y), MULTIPLY and PACK (of T), VALUES (see eight_bits.cuh).
//
// Keys and values come quantised (quantise.cu); each warp quantises its own queries, by one scale. All else is as in
// mma.cu: a block takes 128 queries of one head, each of its four warps 32, and walks over tiles of 64 keys; the next
// keys are on their way while the values are multiplied, the values while the keys are.
//
// Products of values of eight bits are summed for one tile at a time and then added in f32: the matrix units keep fewer
// digits of a sum of e4m3 products than f32 has, and whole numbers have a unit of their own each tile.

constexpr int QUERIES = 128;
constexpr int KEYS = 64;
constexpr int THREADS = 128;
constexpr int BOTH = 2;              // tiles of 16 queries a warp
constexpr int KEY_TILES = KEYS / 8;  // of a tile of scores

#if VALUES == KEPT
typedef T Value;
#else
typedef u8 Value;
#endif

// A tile's rows of 64, 128 or 256 bytes; any eight neighbours' pieces lie on different banks.
template <int BYTES> inline u32 place_of(u32 row, u32 piece) {
    return row * BYTES + ((piece ^ (BYTES == 64 ? row / 2 & 3 : row & 7)) << 4);
}

// Rows to shared memory; rows beyond the last are zeros.
template <int ROWS, int BYTES> inline void fetch(u32 to, const void* from, u64 stride_bytes, u32 first, u32 rows) {
    constexpr int PIECES = BYTES / 16;
    u32 piece = threadIdx.x % PIECES;
#pragma unroll
    for (int i = 0; i < ROWS * PIECES / THREADS; i++) {
        u32 row = threadIdx.x / PIECES + i * (THREADS / PIECES);
        bool valid = first + row < rows;
        const u8* start = (const u8*)from + (valid ? first + row : 0) * stride_bytes;
        copy_async_16(to + place_of<BYTES>(row, piece), start + piece * 16, valid);
    }
}

inline void fetch_values(u32 to, const Value* v, u64 stride, u32 first, u32 count) {
#if VALUES == KEPT
    fetch<KEYS, HEAD * 2>(to, v, stride * 2, first, count);
#else
    fetch<HEAD, KEYS>(to, v + first, stride, 0, HEAD);
#endif
}

// result = result * shrink + weights * values.
inline void multiply_values(float (&result)[BOTH][HEAD / 8][4], const u32 (&weights)[BOTH][KEY_TILES / STEP_TILES][4],
                            u32 values, const Row (&rows)[BOTH][2]) {
    u32 lane = threadIdx.x % 32;
#if VALUES == KEPT
    // After some tiles, hardly any row has a new maximum.
    bool moved = false;
#pragma unroll
    for (int m = 0; m < BOTH; m++) moved |= rows[m][0].shrink != 1 || rows[m][1].shrink != 1;
    if (__any_sync(0xffffffffu, moved)) {
#pragma unroll
        for (int m = 0; m < BOTH; m++)
#pragma unroll
            for (int n = 0; n < HEAD / 8; n++)
#pragma unroll
                for (int i = 0; i < 4; i++) result[m][n][i] *= rows[m][i / 2].shrink;
    }
#pragma unroll
    for (int step = 0; step < KEYS / 16; step++) {
#pragma unroll
        for (int n = 0; n < HEAD / 8; n += 2) {
            u32 b[4];
            load_matrices_transposed(b, values + place_of<HEAD * 2>(step * 16 + lane % 16, n + lane / 16));
#pragma unroll
            for (int m = 0; m < BOTH; m++) {
                MULTIPLY(result[m][n], weights[m][step], b[0], b[1]);
                MULTIPLY(result[m][n + 1], weights[m][step], b[2], b[3]);
            }
        }
    }
#else
#pragma unroll
    for (int n = 0; n < HEAD / 8; n += 2) {
#if VALUES == E4M3
        float part[BOTH][2][4];
        const float nothing[4] = {0, 0, 0, 0};
#else
        i32 part[BOTH][2][4];
        const i32 nothing[4] = {SHIFT_BITS, SHIFT_BITS, SHIFT_BITS, SHIFT_BITS};
#endif
#pragma unroll
        for (int step = 0; step < KEYS / 32; step++) {
            u32 b[4];
            load_matrices(b, values + place_of<KEYS>(n * 8 + lane / 16 * 8 + lane % 8, step * 2 + lane / 8 % 2));
#pragma unroll
            for (int m = 0; m < BOTH; m++) {
#pragma unroll
                for (int j = 0; j < 2; j++) {
                    const auto* before = step == 0 ? nothing : part[m][j];
#if VALUES == E4M3
                    multiply_e4m3(part[m][j], weights[m][step], b[2 * j], b[2 * j + 1], before);
#else
                    multiply_u8_s8(part[m][j], weights[m][step], b[2 * j], b[2 * j + 1], before);
#endif
                }
            }
        }
#pragma unroll
        for (int m = 0; m < BOTH; m++)
#pragma unroll
            for (int j = 0; j < 2; j++)
#pragma unroll
                for (int i = 0; i < 4; i++) {
                    float& sum = result[m][n + j][i];
                    const Row& row = rows[m][i / 2];
#if VALUES == E4M3
                    sum = sum * row.shrink + part[m][j][i];
#else
                    sum = sum * row.shrink + (__int_as_float(part[m][j][i]) - SHIFT) * row.spread;
#endif
                }
    }
#endif
}

extern "C" __global__ void __launch_bounds__(THREADS, 2)
    attention_eight_bits(const T* q, const i8* k, const f32* key_scales, const Value* v, const f32* value_scales, T* y,
                         u64 q_stride, u64 k_stride, u64 v_stride, u64 y_stride, u32 query_count, u32 key_count,
                         float scale) {
    DYNAMIC_SHARED(memory);
    u32 queries = shared_address(memory);
    u32 keys = queries + QUERIES * HEAD, values = keys + KEYS * HEAD;
    u32 lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    u32 first = blockIdx.x * QUERIES;
    u64 head = (u64)blockIdx.y * HEAD;
    q += head, k += head, y += head, value_scales += head;
    v += VALUES == KEPT ? head : head * v_stride;
    key_scales += blockIdx.y * ((key_count + KEYS - 1) / KEYS);

    fetch<KEYS, HEAD>(keys, k, k_stride, 0, key_count);
    copy_async_commit();
    float query_factor =
        quantise_queries<32>(memory + warp * 32 * HEAD, q, q_stride, first + warp * 32, query_count) * scale * LOG2_E;

    Row rows[BOTH][2];
    float result[BOTH][HEAD / 8][4];
#pragma unroll
    for (int m = 0; m < BOTH; m++)
#pragma unroll
        for (int n = 0; n < HEAD / 8; n++)
#pragma unroll
            for (int i = 0; i < 4; i++) result[m][n][i] = 0;

    for (u32 start = 0; start < key_count; start += KEYS) {
        float factor = query_factor * key_scales[start / KEYS];
        copy_async_wait<0>();
        __syncthreads();
        fetch_values(values, v, v_stride, start, key_count);
        copy_async_commit();

        i32 score[BOTH][KEY_TILES][4];
        const i32 shift[4] = {SHIFT_BITS, SHIFT_BITS, SHIFT_BITS, SHIFT_BITS};
#pragma unroll
        for (int step = 0; step < HEAD / 32; step++) {
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
                    multiply_s8(score[m][n], a[m], b[0], b[1], step == 0 ? shift : score[m][n]);
                    multiply_s8(score[m][n + 1], a[m], b[2], b[3], step == 0 ? shift : score[m][n + 1]);
                }
            }
        }

        // The values have arrived, and every warp is done with the keys.
        copy_async_wait<0>();
        __syncthreads();
        if (start + KEYS < key_count) fetch<KEYS, HEAD>(keys, k, k_stride, start + KEYS, key_count);
        copy_async_commit();

        u32 weights[BOTH][KEY_TILES / STEP_TILES][4];
#pragma unroll
        for (int m = 0; m < BOTH; m++) {
            if (start + KEYS > key_count) mask(score[m], start, key_count);
            weigh(score[m], weights[m], 0, factor, rows[m][0]);
            weigh(score[m], weights[m], 1, factor, rows[m][1]);
        }
        multiply_values(result, weights, values, rows);
    }

#pragma unroll
    for (int m = 0; m < BOTH; m++) {
#pragma unroll
        for (int half = 0; half < 2; half++) {
            float back = 1.0f / total(rows[m][half]);
            u32 at = first + warp * 32 + m * 16 + half * 8 + lane / 4;
            if (at >= query_count) continue;
#pragma unroll
            for (int n = 0; n < HEAD / 8; n++) {
                u32 column = n * 8 + lane % 4 * 2;
                float2 factor{back, back};
#if VALUES != KEPT
                float2 scales = *reinterpret_cast<const float2*>(value_scales + column);
                factor = float2{back * scales.x, back * scales.y};
#endif
                *reinterpret_cast<u32*>(y + at * y_stride + column) =
                    PACK(result[m][n][2 * half] * factor.x, result[m][n][2 * half + 1] * factor.y);
            }
        }
    }
}
