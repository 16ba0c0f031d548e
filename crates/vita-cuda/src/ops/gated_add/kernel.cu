// x + y * gate, where the gate's row serves a run of rows; without a gate, x + y. The sum may replace x.
//
// Set from outside: X, Y and Z (types of x, y and the sum), GATED, ROWS (of a block, a multiple of AT_ONCE).
//
// A thread keeps its eight columns and walks down the rows, so the gate is read once. Several rows are on their
// way before the first is written: the sum may be x, so the compiler cannot bring the reads forward itself.

constexpr int THREADS = 128;
constexpr int AT_ONCE = 4;

extern "C" __global__ void __launch_bounds__(THREADS)
    gated_add(const X* x, const Y* y, const f32* gate, Z* sum, u64 y_stride, u32 rows, u32 width, u32 rows_per_group) {
    u32 column = (blockIdx.x * THREADS + threadIdx.x) * 8;
    if (column >= width) return;
    u32 first = blockIdx.y * ROWS, last = min(first + ROWS, rows);
    float factor[8];
    u32 group = ~0u;
    for (u32 start = first; start < last; start += AT_ONCE) {
        Eight<X> xs[AT_ONCE];
        Eight<Y> ys[AT_ONCE];
#pragma unroll
        for (int i = 0; i < AT_ONCE; i++) {
            if (start + i < last) {
                xs[i] = load_eight(x + (u64)(start + i) * width + column);
                ys[i] = load_eight(y + (start + i) * y_stride + column);
            }
        }
#pragma unroll
        for (int i = 0; i < AT_ONCE; i++) {
            u32 row = start + i;
            if (row >= last) break;
            if (GATED && row / rows_per_group != group) {
                group = row / rows_per_group;
                widen_eight(factor, load_eight(gate + (u64)group * width + column));
            }
            float a[8], b[8];
            widen_eight(a, xs[i]);
            widen_eight(b, ys[i]);
#pragma unroll
            for (int j = 0; j < 8; j++) a[j] = GATED ? a[j] + b[j] * factor[j] : a[j] + b[j];
            store_eight(sum + (u64)row * width + column, a);
        }
    }
}
