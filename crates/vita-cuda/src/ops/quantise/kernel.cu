// Quantisation to e4m3: of a tensor by one scale, or of each row by its own. value = code * scale.
//
// Set from outside: X (type), and for rows VECTORS (of eight elements, a thread) and ROWS (of a block).

// The largest size of any element, as the bits of an f32, which are in the order of their values; NaN is above
// all. `most` starts as zero.
extern "C" __global__ void __launch_bounds__(256) largest(const X* x, u64 count, u32* most) {
    __shared__ float scratch[8];
    float seen = 0;
    u64 step = (u64)gridDim.x * 256 * 8;
    for (u64 at = (u64)(blockIdx.x * 256 + threadIdx.x) * 8; at < count; at += step) {
        float values[8];
        widen_eight(values, load_eight(x + at));
#pragma unroll
        for (int j = 0; j < 8; j++) seen = greater(fabsf(values[j]), seen);
    }
    seen = block_max<8>(seen, scratch);
    if (threadIdx.x == 0) atomicMax(most, __float_as_uint(seen));
}

extern "C" __global__ void __launch_bounds__(256)
    quantise_tensor(const X* x, e4m3* y, u64 count, const f32* most, f32* scale) {
    float largest = *most;
    float back = largest > 0 ? 448.0f / largest : largest;
    if (blockIdx.x == 0 && threadIdx.x == 0) *scale = largest / 448.0f;
    u64 step = (u64)gridDim.x * 256 * 8;
    for (u64 at = (u64)(blockIdx.x * 256 + threadIdx.x) * 8; at < count; at += step) {
        float values[8];
        widen_eight(values, load_eight(x + at));
#pragma unroll
        for (int j = 0; j < 8; j++) values[j] *= back;
        store_eight(y + at, values);
    }
}

#ifdef VECTORS

constexpr int THREADS = 128;

extern "C" __global__ void __launch_bounds__(THREADS)
    quantise_rows(const X* x, u64 x_stride, e4m3* y, u64 y_stride, f32* row_scale, u32 rows, u32 width) {
    // Two in turn: a barrier lies between two uses of one.
    __shared__ float scratch[2][THREADS / 32];
    u32 first = blockIdx.x * ROWS, last = min(first + ROWS, rows);
    Eight<X> next[VECTORS];
    auto column = [&](int i) { return (u32)(i * THREADS + threadIdx.x) * 8; };
    auto fetch = [&](u32 row) {
#pragma unroll
        for (int i = 0; i < VECTORS; i++)
            if (column(i) < width) next[i] = load_eight(x + row * x_stride + column(i));
    };
    fetch(first);
    for (u32 row = first; row < last; row++) {
        float values[VECTORS][8];
        float most = 0;
#pragma unroll
        for (int i = 0; i < VECTORS; i++) {
            if (column(i) < width) {
                widen_eight(values[i], next[i]);
#pragma unroll
                for (int j = 0; j < 8; j++) most = greater(fabsf(values[i][j]), most);
            }
        }
        if (row + 1 < last) fetch(row + 1);
        most = block_max<THREADS / 32>(most, scratch[row % 2]);
        float back = most > 0 ? 448.0f / most : most;
        if (threadIdx.x == 0) row_scale[row] = most / 448.0f;
#pragma unroll
        for (int i = 0; i < VECTORS; i++) {
            if (column(i) < width) {
#pragma unroll
                for (int j = 0; j < 8; j++) values[i][j] *= back;
                store_eight(y + row * y_stride + column(i), values[i]);
            }
        }
    }
}

#endif
