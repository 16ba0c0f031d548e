// a x + b y, or x y, element by element; the result may replace either.
//
// Set from outside: X, Y and Z (types of x, y and the result), PRODUCT (whether it is x y). The last elements that are no whole eight go one by one.

inline float joined(float a, float x, float b, float y) { return PRODUCT ? x * y : a * x + b * y; }

extern "C" __global__ void __launch_bounds__(256) combine(const X* x, const Y* y, Z* sum, u64 count, float a, float b) {
    u64 step = (u64)gridDim.x * 256 * 8;
    for (u64 at = (u64)(blockIdx.x * 256 + threadIdx.x) * 8; at < count; at += step) {
        if (at + 8 <= count) {
            float xs[8], ys[8];
            widen_eight(xs, load_eight(x + at));
            widen_eight(ys, load_eight(y + at));
#pragma unroll
            for (int j = 0; j < 8; j++) xs[j] = joined(a, xs[j], b, ys[j]);
            store_eight(sum + at, xs);
        } else {
            for (u64 i = at; i < count; i++) narrow(sum[i], joined(a, widen(x[i]), b, widen(y[i])));
        }
    }
}
