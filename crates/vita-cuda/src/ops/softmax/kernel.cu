// Softmax of rows: of x * scale, plus a bias where there is one: of the same shape, or a row that serves all (a stride of 0).
//
// Set from outside: X and Y (types), BIASED. The bias is f32. A row is read twice: once for its maximum and sum,
// kept up to date together, once for the weights. `width` is a multiple of eight.

constexpr int THREADS = 128;

extern "C" __global__ void __launch_bounds__(THREADS)
    softmax(const X* x, u64 x_stride, const f32* bias, u64 bias_stride, Y* y, u64 y_stride, u32 width,
            float scale) {
    __shared__ float scratch[2][THREADS / 32];
    u64 row = blockIdx.x;
    auto scores = [&](u32 at, float(&values)[8]) {
        widen_eight(values, load_eight(x + row * x_stride + at));
        float more[8] = {0, 0, 0, 0, 0, 0, 0, 0};
        if (BIASED) widen_eight(more, load_eight(bias + row * bias_stride + at));
#pragma unroll
        for (int j = 0; j < 8; j++) values[j] = values[j] * scale + more[j];
    };
    float most = -INFINITE, sum = 0;
    for (u32 at = threadIdx.x * 8; at < width; at += THREADS * 8) {
        float values[8];
        scores(at, values);
        float now = most;
#pragma unroll
        for (int j = 0; j < 8; j++) now = greater(values[j], now);
        sum *= __expf(most - now);
#pragma unroll
        for (int j = 0; j < 8; j++) sum += __expf(values[j] - now);
        most = now;
    }
    float whole = block_max<THREADS / 32>(most, scratch[0]);
    // A thread without elements has nothing to add; its maximum is minus infinity.
    sum = block_sum<THREADS / 32>(sum > 0 || sum != sum ? sum * __expf(most - whole) : 0.0f, scratch[1]);
    float back = 1.0f / sum;
    for (u32 at = threadIdx.x * 8; at < width; at += THREADS * 8) {
        float values[8];
        scores(at, values);
#pragma unroll
        for (int j = 0; j < 8; j++) values[j] = __expf(values[j] - whole) * back;
        store_eight(y + row * y_stride + at, values);
    }
}
