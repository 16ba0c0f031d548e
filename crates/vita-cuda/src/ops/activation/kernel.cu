// An activation of every element; y may be x.
//
// Set from outside: X and Y (types), FUNCTION (silu, gelu_tanh or gelu_erf). `count` is a multiple of eight.

extern "C" __global__ void __launch_bounds__(256) activation(const X* x, Y* y, u64 count) {
    u64 step = (u64)gridDim.x * 256 * 8;
    for (u64 at = (u64)(blockIdx.x * 256 + threadIdx.x) * 8; at < count; at += step) {
        float values[8];
        widen_eight(values, load_eight(x + at));
#pragma unroll
        for (int j = 0; j < 8; j++) values[j] = FUNCTION(values[j]);
        store_eight(y + at, values);
    }
}
