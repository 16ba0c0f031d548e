// The elements of a view of up to five axes, gathered in order and as another type.
//
// Set from outside: X and Y (types), EIGHTS (whether the innermost axis lies in whole eights of neighbours).
// Sizes are outermost first; strides are in elements of x; `count` is the product of the sizes.

extern "C" __global__ void __launch_bounds__(256)
    permute(const X* x, Y* y, u64 count, u32 size1, u32 size2, u32 size3, u32 size4, u64 stride0, u64 stride1,
            u64 stride2, u64 stride3, u64 stride4) {
    constexpr u32 AT_ONCE = EIGHTS ? 8 : 1;
    u64 step = (u64)gridDim.x * 256 * AT_ONCE;
    for (u64 at = (u64)(blockIdx.x * 256 + threadIdx.x) * AT_ONCE; at < count; at += step) {
        u64 rest = at;
        u64 from = rest % size4 * stride4;
        rest /= size4;
        from += rest % size3 * stride3;
        rest /= size3;
        from += rest % size2 * stride2;
        rest /= size2;
        from += rest % size1 * stride1;
        from += rest / size1 * stride0;
        if (EIGHTS) {
            float values[8];
            widen_eight(values, load_eight(x + from));
            store_eight(y + at, values);
        } else {
            narrow(y[at], widen(x[from]));
        }
    }
}
