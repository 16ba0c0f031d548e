// What the kernels of attention with eight-bit numbers share (Zhang et al., "SageAttention" and "SageAttention2").
//
// Set from outside: T (bf16 or f16), PACK (of T), VALUES: how weights are multiplied with values.

#define KEPT 0  // both as T
#define E4M3 1  // both as e4m3
#define S8 2    // weights as u8, values as s8

constexpr int HEAD = 128;
constexpr float LOG2_E = 1.4426950408889634f;

// Sums of products of codes start from these bits. Read as f32 they are then this number and the sum, exactly, as long
// as the sum is below 2^22: nothing has to be converted. 128 * 127 * 127, of scores, is half of that.
constexpr i32 SHIFT_BITS = 0x4b400000;
constexpr float SHIFT = 12582912.0f;

// The largest weight of a row fills its code: 448, or 254 (255 would leave no room for rounding). It cancels against the
// weights' sum.
constexpr float WEIGHT_MOST_LOG2 = VALUES == KEPT ? 0.0f : VALUES == E4M3 ? 8.807354922057604f : 7.988684686772166f;

// Tiles of eight keys that one product of weights takes.
constexpr int STEP_TILES = VALUES == KEPT ? 2 : 4;

// A row of 128 bytes has eight pieces of 16; they are permuted as Hopper's copy engine does it.
inline u32 place(u32 row, u32 piece) { return row * 128 + ((piece ^ (row & 7)) << 4); }

// A warp's queries to codes in shared memory, at `to` and the rows after it; rows beyond the last are zeros. Each has its
// own scale: value * factor = code * scale.
template <int ROWS>
inline void quantise_queries(u8* to, f32* scales, const T* q, u64 stride, u32 first, u32 count, float factor) {
    u32 lane = threadIdx.x % 32, eighth = lane % 16;
#pragma unroll 4
    for (u32 row = lane / 16; row < ROWS; row += 2) {
        Eight<T> eight{};
        if (first + row < count) eight = load_eight(q + (first + row) * stride + eighth * 8);
        float values[8], most = SIZE_LEAST;
        widen_eight(values, eight);
#pragma unroll
        for (int j = 0; j < 8; j++) most = greater(fabsf(values[j]), most);
#pragma unroll
        for (int step = 8; step > 0; step /= 2) most = greater(__shfl_xor_sync(0xffffffffu, most, step), most);
        *reinterpret_cast<uint2*>(to + place(row, eighth / 2) + eighth % 2 * 8) = eight_codes(values, 127.0f / most);
        if (eighth == 0) scales[row] = most / 127.0f * factor;
    }
}

// Scores of keys from `end` on, where `first` is the tile's first key: no weight.
template <int TILES> inline void mask(i32 (&score)[TILES][4], u32 first, u32 end) {
#pragma unroll
    for (int n = 0; n < TILES; n++)
#pragma unroll
        for (int i = 0; i < 4; i++)
            if (first + n * 8 + threadIdx.x % 4 * 2 + i % 2 >= end) score[n][i] = __float_as_int(-INFINITE);
}

// How far the softmax of a query has come. A lane holds parts of two queries, eight apart; four lanes share one.
struct Row {
    float most = -INFINITE;  // log2 of the largest weight so far
    float sum = 0;           // of this lane's weights, relative to it
    float shrink = 0;        // what the last tile made of weights before
    float spread = 1;        // one unit of the last tile's weights, where it has its own
};

// Makes weights of a tile's scores, in their place. Score = sum of codes * factor, in log2; the keys of a lane share a
// scale.
template <int TILES> inline void weigh(i32 (&score)[TILES][4], int half, float factor, Row& row) {
    float now = -INFINITE;
#pragma unroll
    for (int n = 0; n < TILES; n++)
        now = fmaxf(now, fmaxf(__int_as_float(score[n][2 * half]), __int_as_float(score[n][2 * half + 1])));
    now = (now - SHIFT) * factor;
    now = fmaxf(now, __shfl_xor_sync(0xffffffffu, now, 1));
    now = fmaxf(now, __shfl_xor_sync(0xffffffffu, now, 2));
    float top = fmaxf(row.most, now);
    row.shrink = exp2_fast(row.most - top);
    row.most = top;
    // Whole numbers have no small ones: they are relative to the tile's own largest weight.
    if (VALUES == S8) row.spread = exp2_fast(now - top);
    float base = (VALUES == S8 ? now : top) + (SHIFT * factor - WEIGHT_MOST_LOG2);
    float part = 0;
#pragma unroll
    for (int n = 0; n < TILES; n++) {
#pragma unroll
        for (int i = 2 * half; i < 2 * half + 2; i++) {
            float weight = exp2_fast(__int_as_float(score[n][i]) * factor - base);
            part += weight;
            score[n][i] = __float_as_int(weight);
        }
    }
    if (VALUES != S8) row.sum = row.sum * row.shrink + part;
}

// Lays weights out as the next product takes them.
template <int TILES>
inline void pack(const i32 (&score)[TILES][4], u32 (&weights)[TILES / STEP_TILES][4], int half, Row& row) {
    auto weight = [&](int n, int i) { return __int_as_float(score[n][2 * half + i]); };
#if VALUES == KEPT
#pragma unroll
    for (int n = 0; n < TILES; n++) weights[n / 2][n % 2 * 2 + half] = PACK(weight(n, 0), weight(n, 1));
#elif VALUES == E4M3
#pragma unroll
    for (int n = 0; n < TILES; n += 2)
        weights[n / 4][n / 2 % 2 * 2 + half] = pack_e4m3(weight(n, 0), weight(n, 1), weight(n + 1, 0), weight(n + 1, 1));
#else
    // The sum is that of the codes: what rounding adds to a weight or takes from it, it does to the sum as well.
    u32 part = 0;
#pragma unroll
    for (int n = 0; n < TILES; n += 2) {
        u32 four = pack_u8(weight(n, 0), weight(n, 1), weight(n + 1, 0), weight(n + 1, 1));
        part = __dp4a(four, 0x01010101u, part);
        weights[n / 4][n / 2 % 2 * 2 + half] = four;
    }
    row.sum = row.sum * row.shrink + (float)part * row.spread;
#endif
}

// The sum of all weights of a query.
inline float total(const Row& row) {
    float sum = row.sum + __shfl_xor_sync(0xffffffffu, row.sum, 1);
    return sum + __shfl_xor_sync(0xffffffffu, sum, 2);
}
