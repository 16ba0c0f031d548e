// Keys and values of attention as eight-bit numbers; heads of 128.
//
// Set from outside: X (bf16 or f16), and for the kernel it is about KEYS (of a tile) or VALUES (of what).
//
// - Keys: s8, [S, H * 128], and four scales for each head of KEYS rows: rows 8 n + 2 t and 8 n + 2 t + 1 share the t-th,
//   as a lane of a product has the scores of these. Each column's mean over all rows is taken off first: it adds the
//   same to all scores of a query, which no softmax sees, and most of what keys have in common is in it.
// - Values: e4m3 or s8 by a scale for each column, [H * 128, tokens], where the last token is followed by zeros up to a
//   multiple of 128. Of sixteen tokens, place 4 t + 2 j + e holds token 8 j + 2 t + e: so the weights lie in the
//   registers that the product before leaves them in.

constexpr int HEAD = 128;
constexpr int THREADS = 256;
constexpr int PARTS = 16;
constexpr int EIGHTHS = HEAD / 8;
constexpr int ROWS_AT_ONCE = THREADS / EIGHTHS;

// Each column of a head, folded over a part of the rows, from 0 on: [PARTS, width].
template <class Fold> inline void fold_columns(const X* x, u64 stride, u32 rows, f32* parts, u32 width, Fold fold) {
    __shared__ float scratch[ROWS_AT_ONCE][HEAD];
    u32 eighth = threadIdx.x % EIGHTHS, lane = threadIdx.x / EIGHTHS;
    u32 each = (rows + PARTS - 1) / PARTS, first = blockIdx.x * each, last = min(first + each, rows);
    x += blockIdx.y * HEAD + eighth * 8;
    float folded[8] = {0, 0, 0, 0, 0, 0, 0, 0};
#pragma unroll 4
    for (u32 row = first + lane; row < last; row += ROWS_AT_ONCE) {
        float values[8];
        widen_eight(values, load_eight(x + row * stride));
#pragma unroll
        for (int j = 0; j < 8; j++) folded[j] = fold(folded[j], values[j]);
    }
#pragma unroll
    for (int j = 0; j < 8; j++) scratch[lane][eighth * 8 + j] = folded[j];
    __syncthreads();
    if (threadIdx.x >= HEAD) return;
    float all = 0;
#pragma unroll
    for (int i = 0; i < ROWS_AT_ONCE; i++) all = fold(all, scratch[i][threadIdx.x]);
    parts[blockIdx.x * width + blockIdx.y * HEAD + threadIdx.x] = all;
}

#ifdef KEYS

extern "C" __global__ void __launch_bounds__(THREADS) sum_columns(const X* x, u64 stride, u32 rows, f32* parts, u32 width) {
    fold_columns(x, stride, rows, parts, width, [](float sum, float value) { return sum + value; });
}

extern "C" __global__ void __launch_bounds__(THREADS)
    quantise_keys(const X* k, u64 stride, u32 rows, const f32* sums, i8* codes, f32* scales, u32 width) {
    constexpr int ROWS = KEYS / ROWS_AT_ONCE;  // a thread
    __shared__ float mean[HEAD], scratch[THREADS / 32];
    u32 eighth = threadIdx.x % EIGHTHS, head = blockIdx.y * HEAD, warp = threadIdx.x / 32;
    if (threadIdx.x < HEAD) {
        float sum = 0;
#pragma unroll
        for (int part = 0; part < PARTS; part++) sum += sums[part * width + head + threadIdx.x];
        mean[threadIdx.x] = sum / (float)rows;
    }
    __syncthreads();
    float values[ROWS][8], most = SIZE_LEAST;
    auto row = [&](int i) { return blockIdx.x * KEYS + i * ROWS_AT_ONCE + threadIdx.x / EIGHTHS; };
#pragma unroll
    for (int i = 0; i < ROWS; i++) {
        if (row(i) >= rows) continue;
        widen_eight(values[i], load_eight(k + row(i) * stride + head + eighth * 8));
#pragma unroll
        for (int j = 0; j < 8; j++) {
            values[i][j] -= mean[eighth * 8 + j];
            most = greater(fabsf(values[i][j]), most);
        }
    }
    // A warp's rows are all of one scale, and those of the fourth after it.
    most = warp_max(most);
    if (threadIdx.x % 32 == 0) scratch[warp] = most;
    __syncthreads();
    most = greater(scratch[warp % 4], scratch[warp % 4 + 4]);
    if (threadIdx.x % 32 == 0 && warp < 4) scales[(blockIdx.y * gridDim.x + blockIdx.x) * 4 + warp] = most / 127.0f;
#pragma unroll
    for (int i = 0; i < ROWS; i++)
        if (row(i) < rows)
            *reinterpret_cast<uint2*>(codes + (u64)row(i) * width + head + eighth * 8) =
                eight_codes(values[i], 127.0f / most);
}

#else

#define E4M3 1
#define S8 2

inline float size_of(float most, float x) { return greater(fabsf(x), most); }

extern "C" __global__ void __launch_bounds__(THREADS) size_columns(const X* x, u64 stride, u32 rows, f32* parts, u32 width) {
    fold_columns(x, stride, rows, parts, width, [](float most, float value) { return size_of(most, value); });
}

// A block takes 64 tokens of a head.
extern "C" __global__ void __launch_bounds__(THREADS)
    quantise_values(const X* v, u64 stride, u32 rows, const f32* sizes, u8* codes, u64 pitch, f32* scales, u32 width) {
    constexpr int TOKENS = 64;
    constexpr float LARGEST = VALUES == E4M3 ? 448.0f : 127.0f;
    // Column 8 p + c lies in row 16 c + p, of 80 bytes: neighbouring threads write to different banks.
    __shared__ uint4 tile[HEAD][TOKENS / 16 + 1];
    __shared__ float back[HEAD];
    u32 head = blockIdx.y * HEAD, first = blockIdx.x * TOKENS;
    if (threadIdx.x < HEAD) {
        float most = 0;
#pragma unroll
        for (int part = 0; part < PARTS; part++) most = size_of(most, sizes[part * width + head + threadIdx.x]);
        back[threadIdx.x] = most > 0 ? LARGEST / most : most;
        if (blockIdx.x == 0) scales[head + threadIdx.x] = most / LARGEST;
    }
    u32 eighth = threadIdx.x % EIGHTHS, word = threadIdx.x / EIGHTHS;
    float values[4][8];
#pragma unroll
    for (int i = 0; i < 4; i++) {
        // The token at place 4 * word + i.
        u32 row = first + word / 4 * 16 + i / 2 * 8 + word % 4 * 2 + i % 2;
        Eight<X> eight{};
        if (row < rows) eight = load_eight(v + row * stride + head + eighth * 8);
        widen_eight(values[i], eight);
    }
    __syncthreads();
#pragma unroll
    for (int c = 0; c < 8; c++) {
        float factor = back[eighth * 8 + c];
        float four[4];
#pragma unroll
        for (int i = 0; i < 4; i++) four[i] = values[i][c] * factor;
#if VALUES == E4M3
        u32 packed = pack_e4m3(four[0], four[1], four[2], four[3]);
#else
        u32 packed = four_codes(four);
#endif
        reinterpret_cast<u32*>(tile[c * EIGHTHS + eighth])[word] = packed;
    }
    __syncthreads();
#pragma unroll
    for (int i = 0; i < HEAD * TOKENS / 16 / THREADS; i++) {
        u32 index = threadIdx.x + i * THREADS, row = index / 4, quarter = index % 4;
        u32 column = head + row % EIGHTHS * 8 + row / EIGHTHS;
        *reinterpret_cast<uint4*>(codes + column * pitch + first + quarter * 16) = tile[row][quarter];
    }
}

#endif
