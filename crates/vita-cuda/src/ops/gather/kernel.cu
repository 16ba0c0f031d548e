// Rows of a table of any format, by their numbers. Set from outside: FORMAT (see blocks.cuh), Y (type).
// A number beyond the table gives a row of NaN.

extern "C" __global__ void __launch_bounds__(128)
    gather(const u8* table, u64 row_bytes, const u32* numbers, Y* y, u32 table_rows, u32 width) {
    u32 number = numbers[blockIdx.x];
    bool valid = number < table_rows;
    const u8* row = table + (valid ? number : 0) * row_bytes;
    for (u32 at = threadIdx.x * 8; at < width; at += 128 * 8) {
        float values[8];
        FORMAT::widen_eight_at(row + at / FORMAT::LEN * FORMAT::BYTES, at % FORMAT::LEN, values);
#pragma unroll
        for (int j = 0; j < 8; j++) values[j] = valid ? values[j] : __uint_as_float(0x7fc00000u);
        store_eight(y + (u64)blockIdx.x * width + at, values);
    }
}
