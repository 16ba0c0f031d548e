// The product of rows that a source gathers and the rows of a weight, on the matrix units of every card since
// Ampere: y[m][n] = sum over k of x[m][k] w[n][k], then a scale, a bias, an activation.
//
// Set from outside: T (bf16, f16 or e4m3, what is multiplied), MULTIPLY (of T), FORMAT (of the weight, see
// blocks.cuh), WIDENED (whether the weight is anything but T), COLUMNS (of a block: 64, 96 or 128), Y (type of the
// result), BIASED, FUNCTION (an activation).
//
// A block of eight warps takes 128 rows by COLUMNS; a warp 32 rows by half the columns. Three stages of 64 bytes of
// depth are under way. A weight of another format is widened on its way to shared memory, so it is never written
// out. A row of a stage is four pieces of 16 bytes; piece p of row r lies at p ^ (r / 2 % 4), so that the eight
// rows of a matrix load lie on different banks.

constexpr int ROWS = 128;
constexpr int ROW_BYTES = 64;                   // of a stage
constexpr int DEPTH = ROW_BYTES / sizeof(T);    // of a stage
constexpr int PIECE = 16 / sizeof(T);           // elements that are copied at once
constexpr int STAGES = 3;
constexpr int THREADS = 256;
constexpr int TILES = COLUMNS / 2 / 8;  // of eight columns, a warp
constexpr u32 X_BYTES = ROWS * ROW_BYTES, W_BYTES = COLUMNS * ROW_BYTES, STAGE_BYTES = X_BYTES + W_BYTES;

inline float identity(float x) { return x; }

inline u32 place(u32 row, u32 piece) { return row * ROW_BYTES + ((piece ^ (row >> 1 & 3)) << 4); }

struct Weight {
    const u8* data;
    u64 row_bytes;
    u32 columns, depth;

    // The stage that starts at k, of the columns from `first` on.
    inline void fetch(u8* stage, u32 first, u32 k) const {
#pragma unroll
        for (int i = 0; i < COLUMNS * 4 / THREADS + (COLUMNS * 4 % THREADS != 0); i++) {
            u32 number = threadIdx.x + i * THREADS, row = number / 4, piece = number % 4, at = k + piece * PIECE;
            if (row >= COLUMNS) break;
            bool valid = first + row < columns && at < depth;
            const u8* from = data + (valid ? (first + row) * row_bytes : 0);
            u8* to = stage + place(row, piece);
            if (!WIDENED) {
                copy_async_16(shared_address(to), from + (valid ? at * sizeof(T) : 0), valid);
            } else {
                float values[8] = {0, 0, 0, 0, 0, 0, 0, 0};
                if (valid) FORMAT::widen_eight_at(from + at / FORMAT::LEN * FORMAT::BYTES, at % FORMAT::LEN, values);
                store_eight(reinterpret_cast<T*>(to), values);
            }
        }
    }
};

inline void store_two(f32* y, float a, float b) { *reinterpret_cast<float2*>(y) = float2{a, b}; }
inline void store_two(bf16* y, float a, float b) { *reinterpret_cast<u32*>(y) = pack_bf16(a, b); }
inline void store_two(f16* y, float a, float b) { *reinterpret_cast<u32*>(y) = pack_f16(a, b); }

// Blocks that run at the same time share rows and columns: eight tiles of rows, then the next columns.
inline void tile_of_block(u32 row_tiles, u32 column_tiles, u32& row, u32& column) {
    constexpr u32 TOGETHER = 8;
    u32 group = blockIdx.x / (TOGETHER * column_tiles), within = blockIdx.x % (TOGETHER * column_tiles);
    u32 rows = min(TOGETHER, row_tiles - group * TOGETHER);
    row = group * TOGETHER + within % rows;
    column = within / rows;
}

// A source has `fetch(to, k)`, called by every thread for k = 0, DEPTH, 2 DEPTH and so on in turn: it starts the
// copies of its block's rows to the shared address `to`. `row_scale` is null, or a factor for each row.
template <class Source>
inline void product(u8* memory, Source& x, const Weight& w, u32 first_row, u32 first_column, u32 rows,
                    const f32* bias, float scale, const f32* row_scale, Y* y, u64 y_stride) {
    u32 lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    u32 warp_row = warp % 4 * 32, warp_column = warp / 4 * (COLUMNS / 2);
    float sum[2][TILES][4];
#pragma unroll
    for (int m = 0; m < 2; m++)
#pragma unroll
        for (int n = 0; n < TILES; n++)
#pragma unroll
            for (int i = 0; i < 4; i++) sum[m][n][i] = 0;

    u32 steps = (w.depth + DEPTH - 1) / DEPTH;
    auto fetch = [&](u32 step) {
        if (step < steps) {
            u8* stage = memory + step % STAGES * STAGE_BYTES;
            x.fetch(shared_address(stage), step * DEPTH);
            w.fetch(stage + X_BYTES, first_column, step * DEPTH);
        }
        copy_async_commit();
    };
#pragma unroll
    for (int step = 0; step < STAGES - 1; step++) fetch(step);

    for (u32 step = 0; step < steps; step++) {
        // This stage has arrived, and every warp is done with the one that is fetched into next.
        copy_async_wait<STAGES - 2>();
        __syncthreads();
        fetch(step + STAGES - 1);
        u32 x_stage = shared_address(memory + step % STAGES * STAGE_BYTES), w_stage = x_stage + X_BYTES;
#pragma unroll
        for (int part = 0; part < ROW_BYTES / 32; part++) {
            u32 a[2][4];
#pragma unroll
            for (int m = 0; m < 2; m++)
                load_matrices(a[m], x_stage + place(warp_row + m * 16 + lane % 16, part * 2 + lane / 16));
#pragma unroll
            for (int n = 0; n < TILES; n += 2) {
                u32 b[4];
                u32 row = warp_column + n * 8 + lane / 16 * 8 + lane % 8;
                load_matrices(b, w_stage + place(row, part * 2 + lane / 8 % 2));
#pragma unroll
                for (int m = 0; m < 2; m++) {
                    MULTIPLY(sum[m][n], a[m], b[0], b[1]);
                    MULTIPLY(sum[m][n + 1], a[m], b[2], b[3]);
                }
            }
        }
    }
    copy_async_wait<0>();

#pragma unroll
    for (int n = 0; n < TILES; n++) {
        u32 column = first_column + warp_column + n * 8 + lane % 4 * 2;
        if (column >= w.columns) break;
        float b0 = BIASED ? bias[column] : 0.0f, b1 = BIASED ? bias[column + 1] : 0.0f;
#pragma unroll
        for (int m = 0; m < 2; m++) {
#pragma unroll
            for (int half = 0; half < 2; half++) {
                u32 row = first_row + warp_row + m * 16 + half * 8 + lane / 4;
                if (row >= rows) continue;
                float by = row_scale ? scale * row_scale[row] : scale;
                store_two(y + row * y_stride + column, FUNCTION(sum[m][n][2 * half] * by + b0),
                          FUNCTION(sum[m][n][2 * half + 1] * by + b1));
            }
        }
    }
}
