// Layer norm of rows, then a weight and bias, or a modulation; optionally quantised to e4m3 with a scale a row.
//
// Set from outside: X and Y (types), VECTORS (of eight elements, a thread), AFFINE (0 none, 1 weight and bias,
// 2 modulation), QUANTISED (whether y is e4m3 with a scale a row), ROWS (of a block).
//
// A row lies in the registers of one block, so memory is read once and the variance needs no second look. The
// modulation stays in registers from row to row; the next row is on its way while this one is reduced.

constexpr int THREADS = 128;

extern "C" __global__ void __launch_bounds__(THREADS)
    layer_norm(const X* x, u64 x_stride, Y* y, u64 y_stride, const f32* scale, const f32* shift, f32* row_scale,
               u32 rows, u32 width, u32 rows_per_group, float epsilon) {
    // One for each reduction: before it is written again, every thread has passed another reduction's barrier.
    __shared__ float scratch[3][THREADS / 32];
    u32 first = blockIdx.x * ROWS, last = min(first + ROWS, rows);
    float multiply[VECTORS][8], add[VECTORS][8];
    u32 group = ~0u;
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
        float sum = 0;
#pragma unroll
        for (int i = 0; i < VECTORS; i++) {
            if (column(i) < width) {
                widen_eight(values[i], next[i]);
#pragma unroll
                for (int j = 0; j < 8; j++) sum += values[i][j];
            }
        }
        if (row + 1 < last) fetch(row + 1);
        if (AFFINE != 0 && row / rows_per_group != group) {
            group = row / rows_per_group;
#pragma unroll
            for (int i = 0; i < VECTORS; i++) {
                if (column(i) < width) {
                    widen_eight(multiply[i], load_eight(scale + (u64)group * width + column(i)));
                    widen_eight(add[i], load_eight(shift + (u64)group * width + column(i)));
                }
            }
        }

        float mean = block_sum<THREADS / 32>(sum, scratch[0]) / width;
        float squares = 0;
#pragma unroll
        for (int i = 0; i < VECTORS; i++) {
            if (column(i) < width) {
#pragma unroll
                for (int j = 0; j < 8; j++) {
                    values[i][j] -= mean;
                    squares += values[i][j] * values[i][j];
                }
            }
        }
        float factor = rsqrtf(block_sum<THREADS / 32>(squares, scratch[1]) / width + epsilon);

        float most = 0;
#pragma unroll
        for (int i = 0; i < VECTORS; i++) {
            if (column(i) < width) {
#pragma unroll
                for (int j = 0; j < 8; j++) {
                    float value = values[i][j] * factor;
                    if (AFFINE == 1) value = value * multiply[i][j] + add[i][j];
                    if (AFFINE == 2) value = value * (1.0f + multiply[i][j]) + add[i][j];
                    values[i][j] = value;
                    if (QUANTISED) most = greater(fabsf(value), most);
                }
            }
        }
        if (QUANTISED) {
            most = block_max<THREADS / 32>(most, scratch[2]);
            // Zero for a row of zeros, NaN for a broken one: that must stay visible.
            float back = most > 0 ? 448.0f / most : most;
#pragma unroll
            for (int i = 0; i < VECTORS; i++)
#pragma unroll
                for (int j = 0; j < 8; j++) values[i][j] *= back;
            if (threadIdx.x == 0) row_scale[row] = most / 448.0f;
        }
#pragma unroll
        for (int i = 0; i < VECTORS; i++)
            if (column(i) < width) store_eight(y + row * y_stride + column(i), values[i]);
    }
}
