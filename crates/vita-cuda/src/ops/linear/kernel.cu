// A product with a weight of any format; see product.cuh.

struct Plain {
    const T* data;
    u64 stride;
    u32 first, rows, depth;

    inline void fetch(u32 to, u32 k) const {
#pragma unroll
        for (int i = 0; i < ROWS * 4 / THREADS; i++) {
            u32 number = threadIdx.x + i * THREADS, row = number / 4, piece = number % 4, at = k + piece * PIECE;
            bool valid = first + row < rows && at < depth;
            copy_async_16(to + place(row, piece), data + (valid ? (first + row) * stride + at : 0), valid);
        }
    }
};

extern "C" __global__ void __launch_bounds__(THREADS, 2)
    linear(const T* x, u64 x_stride, const u8* w, u64 w_row_bytes, const f32* bias, float scale, const f32* row_scale,
           Y* y, u64 y_stride, u32 rows, u32 columns, u32 depth) {
    DYNAMIC_SHARED(memory);
    u32 row, column;
    tile_of_block((rows + ROWS - 1) / ROWS, (columns + COLUMNS - 1) / COLUMNS, row, column);
    Plain source{x, x_stride, row * ROWS, rows, depth};
    Weight weight{w, w_row_bytes, columns, depth};
    product(memory, source, weight, row * ROWS, column * COLUMNS, rows, bias, scale, row_scale, y, y_stride);
}
