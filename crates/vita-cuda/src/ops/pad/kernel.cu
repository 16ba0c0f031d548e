// Rows made wider: zeros behind what they hold.
//
// Set from outside: X and Y (types). x: [rows, width], y: [rows, wide], both without gaps; `count` is rows * wide.

extern "C" __global__ void __launch_bounds__(256) pad(const X* x, Y* y, u64 count, u32 width, u32 wide) {
    u64 step = (u64)gridDim.x * 256;
    for (u64 at = blockIdx.x * 256 + threadIdx.x; at < count; at += step) {
        u64 row = at / wide;
        u32 column = at % wide;
        narrow(y[at], column < width ? widen(x[row * width + column]) : 0.0f);
    }
}
