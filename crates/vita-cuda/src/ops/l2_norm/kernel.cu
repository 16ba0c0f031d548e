// The autoencoder's norm over the channels of each pixel: x / max(|x|, 1e-12) * sqrt(C) * gamma, then an activation.
//
// Set from outside: X and Y (types), LANES (that share a pixel: 8, 16 or 32), VECTORS (of eight channels, a lane),
// FUNCTION (an activation).

constexpr int THREADS = 256;

inline float identity(float x) { return x; }

extern "C" __global__ void __launch_bounds__(THREADS)
    l2_norm(const X* x, Y* y, const f32* gamma, u64 pixels, u32 channels) {
    u32 lane = threadIdx.x % LANES;
    float weight[VECTORS][8];
#pragma unroll
    for (int i = 0; i < VECTORS; i++)
        if ((lane + i * LANES) * 8 < channels) widen_eight(weight[i], load_eight(gamma + (lane + i * LANES) * 8));
    float root = sqrtf((float)channels);
    u64 at_once = (u64)gridDim.x * (THREADS / LANES);
    // Every lane takes as many turns: they shuffle together.
    for (u64 first = 0; first < pixels; first += at_once) {
        u64 pixel = first + (u64)blockIdx.x * (THREADS / LANES) + threadIdx.x / LANES;
        float values[VECTORS][8];
        float squares = 0;
#pragma unroll
        for (int i = 0; i < VECTORS; i++) {
            u32 channel = (lane + i * LANES) * 8;
            if (pixel < pixels && channel < channels) {
                widen_eight(values[i], load_eight(x + pixel * channels + channel));
#pragma unroll
                for (int j = 0; j < 8; j++) squares += values[i][j] * values[i][j];
            }
        }
#pragma unroll
        for (int step = LANES / 2; step > 0; step /= 2) squares += __shfl_xor_sync(0xffffffffu, squares, step);
        float factor = root / fmaxf(sqrtf(squares), 1e-12f);
        // A maximum drops a NaN; a broken pixel must stay visible.
        if (squares != squares) factor = squares;
#pragma unroll
        for (int i = 0; i < VECTORS; i++) {
            u32 channel = (lane + i * LANES) * 8;
            if (pixel < pixels && channel < channels) {
#pragma unroll
                for (int j = 0; j < 8; j++) values[i][j] = FUNCTION(values[i][j] * factor * weight[i][j]);
                store_eight(y + pixel * channels + channel, values[i]);
            }
        }
    }
}
