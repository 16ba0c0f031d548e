// softmax(q k^T * scale) v for heads of 128, no mask, where the products are of eight-bit numbers.
//
// Set from outside: T (bf16 or f16, of q and y), MULTIPLY and PACK (of T), VALUES (see eight_bits.cuh).
//
// Keys and values come quantised (quantise.cu); each warp quantises its own queries, each by its own scale. All else is as in
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

// Tiles of rows that are copied one after another: ever further rows, or further along the rows. A thread starts from
// `from`.
template <int ROWS, int BYTES, bool ALONG_ROWS> struct Tiles {
    static constexpr int PIECES = BYTES / 16;
    static constexpr int ROWS_AT_ONCE = THREADS / PIECES;
    u32 to;
    const u8* from;

    inline Tiles(u32 tile, const void* start, u64 stride_bytes)
        : to(tile + place_of<BYTES>(threadIdx.x / PIECES, threadIdx.x % PIECES)), from((const u8*)start + (u64)stride_bytes * (threadIdx.x / PIECES) + threadIdx.x % PIECES * 16) {}

    // The next tile; rows from the `rows`-th on are zeros.
    inline void fetch(u64 stride_bytes, u32 rows) {
        u32 thread = threadIdx.x;
        compute_anew(thread);
        const u8* at = from;
#pragma unroll
        for (int i = 0; i < ROWS / ROWS_AT_ONCE; i++) {
            // Rows so far apart are permuted alike.
            copy_async_16(to + i * ROWS_AT_ONCE * BYTES, at, thread / PIECES + i * ROWS_AT_ONCE < rows);
            at += (u64)stride_bytes * ROWS_AT_ONCE;
        }
        from = ALONG_ROWS ? from + BYTES : at;
    }
};

// result = result * shrink + weights * values; `values_at` is where this lane's part of the first matrices lies.
inline void multiply_values(float (&result)[BOTH][HEAD / 8][4], const u32 (&weights)[BOTH][KEY_TILES / STEP_TILES][4],
                            u32 values_at, const Row (&rows)[BOTH][2]) {
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
            load_matrices_transposed(b, (values_at ^ n * 16) + step * 16 * HEAD * 2);
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
            load_matrices(b, (values_at ^ step * 32) + n * 8 * KEYS);
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
    f32* query_scales = reinterpret_cast<f32*>(memory + (QUERIES + KEYS) * HEAD + KEYS * HEAD * sizeof(Value));
    u32 lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    u32 first = blockIdx.x * QUERIES;
    u64 head = (u64)blockIdx.y * HEAD;
    v += VALUES == KEPT ? head : head * v_stride;
    u32 key_scale_at = blockIdx.y * ((key_count + KEYS - 1) / KEYS) * 4 + lane % 4;
    query_scales += warp * 32;

    Tiles<KEYS, HEAD, false> key_tiles(keys, k + head, k_stride);
    key_tiles.fetch(k_stride, key_count);
    copy_async_commit();
#if VALUES == KEPT
    Tiles<KEYS, HEAD * 2, false> value_tiles(values, v, v_stride * 2);
#else
    Tiles<HEAD, KEYS, true> value_tiles(values, v, v_stride);
#endif
    quantise_queries<32>(memory + warp * 32 * HEAD, query_scales, q + head, q_stride, first + warp * 32, query_count,
                         scale * LOG2_E);

    // Where this lane's parts of matrices lie; a tile's first byte is at a multiple of 256, so that pieces further on are
    // at other bits of the address.
    u32 queries_at = queries + place(warp * 32 + lane % 16, lane / 16);
    u32 keys_at = keys + place(lane / 16 * 8 + lane % 8, lane / 8 % 2);
    auto find_values = [&]() {
        return values + (VALUES == KEPT ? place_of<HEAD * 2>(lane % 16, lane / 16)
                                        : place_of<KEYS>(lane / 16 * 8 + lane % 8, lane / 8 % 2));
    };
    u32 values_at = find_values();

    Row rows[BOTH][2];
    float result[BOTH][HEAD / 8][4];
#pragma unroll
    for (int m = 0; m < BOTH; m++)
#pragma unroll
        for (int n = 0; n < HEAD / 8; n++)
#pragma unroll
            for (int i = 0; i < 4; i++) result[m][n][i] = 0;

    for (u32 start = 0; start < key_count; start += KEYS) {
        compute_anew(queries_at);
        compute_anew(keys_at);
        compute_anew(values_at);
        copy_async_wait<0>();
        __syncthreads();
#if VALUES == KEPT
        value_tiles.fetch(v_stride * 2, key_count - start);
#else
        value_tiles.fetch(v_stride, HEAD);
#endif
        copy_async_commit();

        i32 score[BOTH][KEY_TILES][4];
        const i32 shift[4] = {SHIFT_BITS, SHIFT_BITS, SHIFT_BITS, SHIFT_BITS};
#pragma unroll
        for (int step = 0; step < HEAD / 32; step++) {
            u32 a[BOTH][4];
#pragma unroll
            for (int m = 0; m < BOTH; m++)
                load_matrices(a[m], (queries_at ^ step * 32) + m * 16 * HEAD);
#pragma unroll
            for (int n = 0; n < KEY_TILES; n += 2) {
                u32 b[4];
                load_matrices(b, (keys_at ^ step * 32) + n * 8 * HEAD);
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
        if (start + KEYS < key_count) key_tiles.fetch(k_stride, key_count - start - KEYS);
        copy_async_commit();

        float key_scale = key_scales[key_scale_at];
        key_scale_at += 4;
        u32 weights[BOTH][KEY_TILES / STEP_TILES][4];
#pragma unroll
        for (int m = 0; m < BOTH; m++) {
            if (start + KEYS > key_count) mask(score[m], start, key_count);
#pragma unroll
            for (int half = 0; half < 2; half++) {
                float factor = query_scales[m * 16 + half * 8 + lane / 4] * key_scale;
                weigh(score[m], half, factor, rows[m][half]);
                pack(score[m], weights[m], half, rows[m][half]);
            }
        }
        if (VALUES == S8) {
            compute_anew(lane);
            values_at = find_values();
        }
        multiply_values(result, weights, values_at, rows);
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
                u64 column = head + n * 8 + lane % 4 * 2;
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
