// Videos of fewer and larger pixels, and back: the values of a block of frames, rows and columns, in the order
// (channel, frame, row, column), belong in equal groups to the channels of one pixel.
//
// Set from outside: X and Y (types of the video that is read and of the one that is written). The small video has a
// pixel for each block of `time` x `space` x `space` of the large one. Threads walk over what is written.

// Each value of y, the small video, becomes the mean of its group in x. The first `blank` frames of the first block
// are zeros that nothing holds. Sizes are y's.
extern "C" __global__ void __launch_bounds__(256)
    group_mean(const X* x, Y* y, u64 count, u32 height, u32 width, u32 channels, u32 x_channels, u32 time, u32 space,
         u32 blank) {
    u32 parts = time * space * space, group = x_channels * parts / channels;
    u64 step = (u64)gridDim.x * 256;
    for (u64 at = blockIdx.x * 256 + threadIdx.x; at < count; at += step) {
        u64 rest = at;
        u32 channel = rest % channels;
        rest /= channels;
        u32 column = rest % width;
        rest /= width;
        u32 row = rest % height;
        u64 frame = rest / height;
        float sum = 0;
        for (u32 i = 0; i < group; i++) {
            u32 value = channel * group + i, part = value % parts;
            u64 from = frame * time + part / (space * space);
            if (from < blank) continue;
            from = (from - blank) * (height * space) + row * space + part / space % space;
            from = from * (width * space) + column * space + part % space;
            sum += widen(x[from * x_channels + value / parts]);
        }
        narrow(y[at], sum / group);
    }
}

// To each value of y, the large video, the value of x is added whose group it is in. The first `skipped` frames of the
// first block are not there. Sizes are y's.
extern "C" __global__ void __launch_bounds__(256)
    group_add(const X* x, Y* y, u64 count, u32 height, u32 width, u32 channels, u32 x_channels, u32 time, u32 space,
        u32 skipped) {
    u32 parts = time * space * space, group = channels * parts / x_channels;
    u64 step = (u64)gridDim.x * 256;
    for (u64 at = blockIdx.x * 256 + threadIdx.x; at < count; at += step) {
        u64 rest = at;
        u32 channel = rest % channels;
        rest /= channels;
        u32 column = rest % width;
        rest /= width;
        u32 row = rest % height;
        u64 frame = rest / height + skipped;
        u32 part = (frame % time * space + row % space) * space + column % space;
        u64 from = frame / time * (height / space) + row / space;
        from = from * (width / space) + column / space;
        narrow(y[at], widen(y[at]) + widen(x[from * x_channels + (channel * parts + part) / group]));
    }
}
