// A convolution over frames, rows and columns of a channels-last video, as a product whose rows are gathered while
// it runs; see product.cuh. Its depth is taps times channels, channels innermost, as the weight has it.
//
// Before the video stand `blank` frames of zeros, then `history` frames that were the end of an earlier part: the
// cache of a causal convolution is read where it lies. The video's pixels may be enlarged on the fly.

struct Convolution {
    u32 channels;                 // a multiple of eight
    u32 height, width;            // of the stored pixels
    u32 enlarge;                  // each stored pixel stands for enlarge x enlarge
    u32 blank, history, frames;   // before the video, and of it
    u32 kernel_rows, kernel_columns;
    u32 step_frames, step_rows, step_columns;
    i32 pad_top, pad_left;
    u32 out_frames, out_rows, out_columns;
};

struct Pixels {
    const T* video;
    const T* history;
    const Convolution& shape;
    u32 depth;
    // Where the kernel's first tap lies for the two rows that a thread gathers; frames of blank and history counted.
    u32 frame[2];
    i32 row[2], column[2];
    bool inside[2];
    // The tap and channel of this thread's piece in the stage that comes next, and the tap's pixels.
    u32 tap_frame, tap_row, tap_column, channel;

    inline Pixels(const T* video, const T* history, const Convolution& shape, u32 first, u32 rows, u32 depth)
        : video(video), history(history), shape(shape), depth(depth) {
#pragma unroll
        for (int i = 0; i < 2; i++) {
            u32 number = first + threadIdx.x / 4 + i * (THREADS / 4);
            inside[i] = number < rows;
            column[i] = (i32)(number % shape.out_columns * shape.step_columns) - shape.pad_left;
            number /= shape.out_columns;
            row[i] = (i32)(number % shape.out_rows * shape.step_rows) - shape.pad_top;
            frame[i] = number / shape.out_rows * shape.step_frames;
        }
        tap_frame = tap_row = tap_column = 0;
        channel = threadIdx.x % 4 * 8;
        settle();
    }

    // Carries the channel over into taps.
    inline void settle() {
        while (channel >= shape.channels) {
            channel -= shape.channels;
            if (++tap_column == shape.kernel_columns) {
                tap_column = 0;
                if (++tap_row == shape.kernel_rows) {
                    tap_row = 0;
                    tap_frame++;
                }
            }
        }
    }

    inline void fetch(u32 to, u32 k) {
        u32 piece = threadIdx.x % 4;
        i32 height = shape.height * shape.enlarge, width = shape.width * shape.enlarge;
#pragma unroll
        for (int i = 0; i < 2; i++) {
            u32 f = frame[i] + tap_frame;
            i32 r = row[i] + (i32)tap_row, c = column[i] + (i32)tap_column;
            bool valid = inside[i] && k + piece * 8 < depth && f >= shape.blank && r >= 0 && r < height && c >= 0 && c < width;
            const T* from = video;
            if (valid) {
                f -= shape.blank;
                const T* frames = f < shape.history ? history : video;
                if (f >= shape.history) f -= shape.history;
                u64 pixel = ((u64)f * shape.height + r / shape.enlarge) * shape.width + c / shape.enlarge;
                from = frames + pixel * shape.channels + channel;
            }
            copy_async_16(to + place(threadIdx.x / 4 + i * (THREADS / 4), piece), from, valid);
        }
        channel += DEPTH;
        settle();
    }
};

extern "C" __global__ void __launch_bounds__(THREADS, 2)
    conv(const T* video, const T* history, const u8* w, const f32* bias, Y* y, u32 channels, u32 height, u32 width,
         u32 enlarge, u32 blank, u32 history_frames, u32 frames, u32 kernel_frames, u32 kernel_rows, u32 kernel_columns,
         u32 step_frames, u32 step_rows, u32 step_columns, u32 pad_top, u32 pad_left, u32 out_frames, u32 out_rows,
         u32 out_columns, u32 out_channels) {
    DYNAMIC_SHARED(memory);
    Convolution shape{channels,       height,      width,     enlarge,      blank,        history_frames,
                      frames,         kernel_rows, kernel_columns, step_frames, step_rows, step_columns,
                      (i32)pad_top,   (i32)pad_left, out_frames, out_rows,  out_columns};
    u32 rows = out_frames * out_rows * out_columns, depth = kernel_frames * kernel_rows * kernel_columns * channels;
    u32 row, column;
    tile_of_block((rows + ROWS - 1) / ROWS, (out_channels + COLUMNS - 1) / COLUMNS, row, column);
    Pixels source(video, history, shape, row * ROWS, rows, depth);
    Weight weight{w, (u64)depth * 2, out_channels, depth};
    product(memory, source, weight, row * ROWS, column * COLUMNS, rows, bias, 1.0f, nullptr, y, out_channels);
}
