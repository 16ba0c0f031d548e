// Another type for every element, times a factor.
//
// Set from outside: X and Y (types). The last elements that are no whole eight go one by one.

extern "C" __global__ void __launch_bounds__(256) cast(const X* x, Y* y, u64 count, float factor) {
    u64 step = (u64)gridDim.x * 256 * 8;
    for (u64 at = (u64)(blockIdx.x * 256 + threadIdx.x) * 8; at < count; at += step) {
        if (at + 8 <= count) {
            float values[8];
            widen_eight(values, load_eight(x + at));
#pragma unroll
            for (int j = 0; j < 8; j++) values[j] *= factor;
            store_eight(y + at, values);
        } else {
            for (u64 i = at; i < count; i++) narrow(y[i], widen(x[i]) * factor);
        }
    }
}
