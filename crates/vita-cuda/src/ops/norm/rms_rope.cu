// RMS norm over whole rows, then the rotary embedding of each head: what queries and keys go through; either alone.
//
// Set from outside: X and Y (types), VECTORS (of eight elements, a thread), NORM (whether rows are
// normalised), ROPE (whether heads are turned), ROWS (of a block). Heads are `head` wide; the tables hold head / 2 values a row.

constexpr int THREADS = 128;

extern "C" __global__ void __launch_bounds__(THREADS)
    rms_rope(const X* x, u64 x_stride, Y* y, u64 y_stride, const f32* weight, const f32* cosines, const f32* sines,
             u32 rows, u32 width, u32 head, float epsilon) {
    __shared__ float scratch[2][THREADS / 32];
    u32 first = blockIdx.x * ROWS, last = min(first + ROWS, rows);
    float multiply[VECTORS][8];
    Eight<X> next[VECTORS];

    auto column = [&](int i) { return (u32)(i * THREADS + threadIdx.x) * 8; };
    auto fetch = [&](u32 row) {
#pragma unroll
        for (int i = 0; i < VECTORS; i++)
            if (column(i) < width) next[i] = load_eight(x + row * x_stride + column(i));
    };

#pragma unroll
    for (int i = 0; i < VECTORS; i++)
        if (NORM && column(i) < width) widen_eight(multiply[i], load_eight(weight + column(i)));
    fetch(first);
    for (u32 row = first; row < last; row++) {
        float values[VECTORS][8];
        float squares = 0;
#pragma unroll
        for (int i = 0; i < VECTORS; i++) {
            if (column(i) < width) {
                widen_eight(values[i], next[i]);
#pragma unroll
                for (int j = 0; j < 8; j++) squares += values[i][j] * values[i][j];
            }
        }
        if (row + 1 < last) fetch(row + 1);
        // Two scratches in turn: a barrier lies between two uses of one.
        float factor = NORM ? rsqrtf(block_sum<THREADS / 32>(squares, scratch[row % 2]) / width + epsilon) : 1;
#pragma unroll
        for (int i = 0; i < VECTORS; i++) {
            if (column(i) < width) {
#pragma unroll
                for (int j = 0; NORM && j < 8; j++) values[i][j] *= factor * multiply[i][j];
                if (ROPE) {
                    // Adjacent pairs, so a pair never crosses threads.
                    u64 at = (u64)row * (head / 2) + column(i) % head / 2;
                    float4 cosine = *reinterpret_cast<const float4*>(cosines + at);
                    float4 sine = *reinterpret_cast<const float4*>(sines + at);
                    float c[4] = {cosine.x, cosine.y, cosine.z, cosine.w};
                    float s[4] = {sine.x, sine.y, sine.z, sine.w};
#pragma unroll
                    for (int j = 0; j < 4; j++) {
                        float a = values[i][2 * j], b = values[i][2 * j + 1];
                        values[i][2 * j] = a * c[j] - b * s[j];
                        values[i][2 * j + 1] = a * s[j] + b * c[j];
                    }
                }
                store_eight(y + row * y_stride + column(i), values[i]);
            }
        }
    }
}
