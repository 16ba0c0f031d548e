// Weights of any format as plain elements. Set from outside: FORMAT (see blocks.cuh), Y (type).

extern "C" __global__ void __launch_bounds__(256) widen_blocks(const u8* x, Y* y, u64 count, float factor) {
    u64 step = (u64)gridDim.x * 256 * 8;
    for (u64 at = (u64)(blockIdx.x * 256 + threadIdx.x) * 8; at < count; at += step) {
        float values[8];
        FORMAT::widen_eight_at(x + at / FORMAT::LEN * FORMAT::BYTES, (u32)(at % FORMAT::LEN), values);
#pragma unroll
        for (int j = 0; j < 8; j++) values[j] *= factor;
        store_eight(y + at, values);
    }
}
