// Runs a kernel on a processor, to check what it computes where there is no card.
//
// A block's threads are fibers of one system thread that give way to each other at barriers and wherever a warp
// works together; blocks run one after another. Asynchronous copies and products happen as late as the program
// allows, or at once, as the caller chooses: between the two, a missing wait and a buffer that is overwritten too
// early both show. What each lane of a warp holds of a matrix follows the PTX manual (sections on `mma` and `ldmatrix`).

#define EMULATED 1

// A jump to another stack looks like a mistake to its checks.
#undef _FORTIFY_SOURCE

#include <math.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>

struct alignas(8) uint2 { unsigned x, y; };
struct alignas(16) uint4 { unsigned x, y, z, w; };
struct alignas(8) float2 { float x, y; };
struct alignas(16) float4 { float x, y, z, w; };
struct dim3 { unsigned x, y, z; };

#define __global__
#define __device__
#define __shared__ static
#define __launch_bounds__(...)
#define __grid_constant__
#define __forceinline__ inline
#define __restrict__
#define DYNAMIC_SHARED(name) unsigned char* name = emulator::shared

namespace emulator {

constexpr int THREADS_MAX = 1024;
constexpr size_t STACK_BYTES = 128 << 10;
constexpr int COPIES_MAX = 512;

struct Barrier {
    int arrived = 0;
    unsigned generation = 0;
};

struct Copy {
    void* to;
    const void* from;
    bool valid;
    int group;
};

// A product of a warpgroup that was issued: one lane's part of it.
struct Product {
    void* d;
    float (*left)(unsigned short);
    float (*right)(unsigned short);
    int bytes;   // of an element
    bool whole;  // d is of whole numbers
    bool from_registers, add;
    float a[2][32];
    uint64_t a_matrix, b_matrix;
    int group;
};

constexpr int PRODUCTS_MAX = 64;

struct Thread {
    jmp_buf place;  // where it gave way
    bool started;
    dim3 index;
    bool done;
    int group;       // of the copies that come next
    int copy_count;  // that have not happened
    Copy copies[COPIES_MAX];
    int product_group, product_count;
    Product products[PRODUCTS_MAX];
};

// A barrier that counts arrivals and bytes.
struct ByteBarrier {
    uint32_t address;
    int expected, pending;
    long bytes;
    unsigned phase;
};

// A tile on its way: rows of at most 128 bytes.
struct Tile {
    uint32_t to, barrier;
    const unsigned char* base;
    uint64_t width, height, stride_bytes;
    uint32_t x, y, columns, rows;
    bool done;
};

constexpr int BYTE_BARRIERS_MAX = 32;
constexpr int TILES_MAX = 64;

struct Warp {
    Barrier barrier;
    uint32_t words[32][8];
    float rows[16][16], columns[8][16];  // of a product
    int lanes_live;
};

static Thread* threads;
static Warp warps[THREADS_MAX / 32];
static unsigned char* stacks;
static unsigned char* shared;
static jmp_buf scheduler;
static Barrier block_barrier;
static Barrier named_barriers[16];
static ByteBarrier byte_barriers[BYTE_BARRIERS_MAX];
static int byte_barrier_count;
static Tile tiles[TILES_MAX];
static int tile_count;
static int current, thread_count, threads_live;
static bool copies_late, products_late, progress, dawdling;
static dim3 block_index, grid_size, block_size;
static void (*body)(void*);
static void* body_argument;
static uint64_t matrix_rows, matrix_rows_in_conflict;

inline Thread& self() { return threads[current]; }
inline Warp& warp() { return warps[current / 32]; }
inline int lane() { return current % 32; }

// Jumps, and no `swapcontext`: that asks the system for the signals' mask each time.
inline void give_way() {
    if (!_setjmp(self().place)) _longjmp(scheduler, 1);
}

inline void open(Barrier& barrier) {
    barrier.arrived = 0;
    barrier.generation++;
    progress = true;
}

inline void wait_at(Barrier& barrier, int expected) {
    unsigned generation = barrier.generation;
    if (++barrier.arrived >= expected) {
        open(barrier);
        return;
    }
    while (barrier.generation == generation) give_way();
}

inline void wait_warp() { wait_at(warp().barrier, warp().lanes_live); }

inline void finish_copy(const Copy& copy) {
    if (copy.valid) memcpy(copy.to, copy.from, 16);
    else memset(copy.to, 0, 16);
}

// Does the copies of all groups before `group`.
inline void finish_copies_before(int group) {
    Thread& thread = self();
    int kept = 0;
    for (int i = 0; i < thread.copy_count; i++) {
        if (thread.copies[i].group < group) finish_copy(thread.copies[i]);
        else thread.copies[kept++] = thread.copies[i];
    }
    thread.copy_count = kept;
}

// A fiber's life: one thread of a block after the other.
inline void enter() {
    for (;;) {
        body(body_argument);
        finish_copies_before(1 << 30);
        Thread& thread = self();
        thread.done = true;
        progress = true;
        warp().lanes_live--;
        threads_live--;
        // Threads that have ended count as arrived.
        if (warp().lanes_live && warp().barrier.arrived >= warp().lanes_live) open(warp().barrier);
        if (threads_live && block_barrier.arrived >= threads_live) open(block_barrier);
        give_way();
    }
}

// Lets a thread run until it gives way.
__attribute__((noinline)) inline void resume(int index) {
    current = index;
    if (_setjmp(scheduler)) return;
    Thread& thread = threads[index];
    if (thread.started) _longjmp(thread.place, 1);
    thread.started = true;
    ucontext_t context;
    getcontext(&context);
    context.uc_stack.ss_sp = stacks + index * STACK_BYTES;
    context.uc_stack.ss_size = STACK_BYTES;
    context.uc_link = nullptr;
    makecontext(&context, enter, 0);
    setcontext(&context);
}

inline void run_block() {
    threads_live = thread_count;
    block_barrier = Barrier{};
    for (Barrier& barrier : named_barriers) barrier = Barrier{};
    byte_barrier_count = tile_count = 0;
    for (int i = 0; i < thread_count; i++) {
        Thread& thread = threads[i];
        warps[i / 32].barrier = Barrier{};
        warps[i / 32].lanes_live = i / 32 * 32 + 32 <= thread_count ? 32 : thread_count % 32;
        thread.index = dim3{(unsigned)i, 0, 0};
        thread.done = false;
        thread.group = 0;
        thread.copy_count = 0;
        thread.product_group = thread.product_count = 0;
    }
    // A warp runs as far as it can before the next has its turn, in one order or the other: the barriers alone must
    // keep warps from each other's way.
    int warp_count = (thread_count + 31) / 32;
    while (threads_live > 0) {
        bool any = dawdling;
        dawdling = false;
        for (int turn = 0; turn < warp_count; turn++) {
            int first = (copies_late ? turn : warp_count - 1 - turn) * 32;
            do {
                progress = false;
                for (int i = first; i < first + 32 && i < thread_count; i++) {
                    if (!threads[i].done) resume(i);
                }
                any |= progress;
            } while (progress);
        }
        if (!any && !dawdling) {
            fprintf(stderr, "the block's threads wait for each other for ever\n");
            abort();
        }
    }
}

inline void run(void (*kernel)(void*), void* argument, dim3 grid, unsigned thread_total, unsigned shared_bytes, int late) {
    if (!threads) {
        // Fibers stay for the next launch.
        threads = (Thread*)calloc(THREADS_MAX, sizeof(Thread));
        stacks = (unsigned char*)malloc(THREADS_MAX * STACK_BYTES);
    }
    shared = (unsigned char*)aligned_alloc(1024, (shared_bytes / 1024 + 1) * 1024);
    body = kernel;
    body_argument = argument;
    thread_count = thread_total;
    copies_late = late & 1;
    products_late = late & 2;
    grid_size = grid;
    block_size = dim3{thread_total, 1, 1};
    for (unsigned z = 0; z < grid.z; z++)
        for (unsigned y = 0; y < grid.y; y++)
            for (unsigned x = 0; x < grid.x; x++) {
                block_index = dim3{x, y, z};
                // What an earlier block left must not be taken for this one's.
                memset(shared, 0xff, shared_bytes);
                run_block();
            }
    free(shared);
}

inline float bf16_at(uint32_t pair, int which) {
    uint32_t bits = (which ? pair >> 16 : pair & 0xffff) << 16;
    float value;
    memcpy(&value, &bits, 4);
    return value;
}

// From a table: most processors are asked in vain, and a product asks for each of its elements.
struct Halves {
    float values[1 << 16];
    Halves() {
        for (int bits = 0; bits < 1 << 16; bits++) {
            uint16_t half = (uint16_t)bits;
            _Float16 value;
            memcpy(&value, &half, 2);
            values[bits] = (float)value;
        }
    }
};
static const Halves halves;

inline float half_to_float(uint16_t bits) { return halves.values[bits]; }

inline float f16_at(uint32_t pair, int which) { return half_to_float((uint16_t)(which ? pair >> 16 : pair)); }

// d += a * b for one lane, from what all lanes gave.
template <float (*ELEMENT)(uint32_t, int)> inline void multiply(float (&d)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
    // Lane 4 r + (k % 8) / 2 holds a[r][k] and b[k][r], in a register by the halves of row and k.
    int place = lane() / 4;
    for (int i = 0; i < 2; i++) {
        for (int half = 0; half < 2; half++) {
            int k = lane() % 4 * 2 + half * 8 + i;
            warp().rows[place][k] = ELEMENT(a[half * 2], i);
            warp().rows[place + 8][k] = ELEMENT(a[half * 2 + 1], i);
            warp().columns[place][k] = ELEMENT(half ? b1 : b0, i);
        }
    }
    wait_warp();
    for (int i = 0; i < 4; i++) {
        const float* row = warp().rows[place + i / 2 * 8];
        const float* column = warp().columns[lane() % 4 * 2 + i % 2];
        float sum = 0;
        for (int k = 0; k < 16; k++) sum += row[k] * column[k];
        d[i] += sum;
    }
    wait_warp();
}

inline float s8_of(unsigned short bits) { return (float)(signed char)(bits & 0xff); }
inline float u8_of(unsigned short bits) { return (float)(bits & 0xff); }
inline float e4m3_of(unsigned short bits) {
    int exponent = bits >> 3 & 15, fraction = bits & 7;
    float size = (bits & 0x7f) == 0x7f ? NAN
                 : exponent == 0       ? ldexpf((float)fraction, -9)
                                       : ldexpf((float)(8 + fraction), exponent - 10);
    return bits & 0x80 ? -size : size;
}

// To nearest even; beyond 448 is 448.
inline uint32_t to_e4m3(float x) {
    uint32_t sign = signbit(x) ? 0x80 : 0;
    if (x != x) return sign | 0x7f;
    float size = fminf(fabsf(x), 448.0f);
    int exponent;
    frexpf(size, &exponent);  // size is at least 2^(exponent - 1)
    exponent = size < 0.015625f ? -6 : exponent - 1;
    // Steps of an eighth of the power of two; eight more of them are the next exponent's code.
    int steps = (int)rintf(ldexpf(size, 3 - exponent));
    return sign | (uint32_t)((exponent + 6) * 8 + steps);
}

// d = a * b + c for one lane, of elements of a byte.
template <float (*LEFT)(unsigned short), float (*RIGHT)(unsigned short), class D>
inline void multiply_bytes(D (&d)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1, const D* c) {
    uint32_t* mine = warp().words[lane()];
    memcpy(mine, a, 16);
    mine[4] = b0;
    mine[5] = b1;
    wait_warp();
    uint32_t(*words)[8] = warp().words;
    for (int i = 0; i < 4; i++) {
        int row = lane() / 4 + i / 2 * 8, column = lane() % 4 * 2 + i % 2;
        float sum = 0;
        for (int k = 0; k < 32; k++) {
            // Lane 4 r + (k % 16) / 4 holds a[r][k] and b[k][r], in a register by the halves of row and k.
            uint32_t x = words[row % 8 * 4 + k % 16 / 4][row / 8 + k / 16 * 2] >> k % 4 * 8;
            uint32_t y = words[column * 4 + k % 16 / 4][4 + k / 16] >> k % 4 * 8;
            sum += LEFT((unsigned short)(x & 0xff)) * RIGHT((unsigned short)(y & 0xff));
        }
        d[i] = c[i] + (D)sum;
    }
    wait_warp();
}

inline void load_matrices(uint32_t (&r)[4], uint32_t address, bool transposed) {
    warp().words[lane()][0] = address;
    wait_warp();
    uint32_t(*words)[8] = warp().words;
    for (int matrix = 0; matrix < 4; matrix++) {
        uint16_t pair[2];
        for (int i = 0; i < 2; i++) {
            int row = lane() / 4, column = lane() % 4 * 2 + i;
            if (transposed) { int swap = row; row = column; column = swap; }
            memcpy(&pair[i], shared + words[matrix * 8 + row][0] + column * 2, 2);
        }
        r[matrix] = pair[0] | (uint32_t)pair[1] << 16;
    }
    if (lane() == 0) {
        for (int matrix = 0; matrix < 4; matrix++) {
            unsigned seen = 0;
            for (int row = 0; row < 8; row++) {
                uint32_t from = words[matrix * 8 + row][0];
                if (from % 16) { fprintf(stderr, "a matrix row at %u\n", from); abort(); }
                unsigned bank = 1u << from / 16 % 8;
                matrix_rows++;
                if (seen & bank) matrix_rows_in_conflict++;
                seen |= bank;
            }
        }
    }
    wait_warp();
}

// ---- Hopper: barriers that count bytes, tiles copied by descriptor, products of a warpgroup ----

inline void fail(const char* what) {
    fprintf(stderr, "%s\n", what);
    abort();
}

inline ByteBarrier& byte_barrier(uint32_t address) {
    for (int i = 0; i < byte_barrier_count; i++)
        if (byte_barriers[i].address == address) return byte_barriers[i];
    fail("a barrier that was never made");
    return byte_barriers[0];
}

inline void settle(ByteBarrier& barrier) {
    if (barrier.pending < 0) fail("a barrier with more arrivals than it expects");
    if (barrier.pending == 0 && barrier.bytes == 0) {
        barrier.phase++;
        barrier.pending = barrier.expected;
        progress = true;
    }
}

inline uint32_t permuted(uint32_t address) { return address ^ (address >> 7 & 7) << 4; }

inline void finish_tile(Tile& tile) {
    tile.done = true;
    for (uint32_t row = 0; row < tile.rows; row++) {
        for (uint32_t column = 0; column < tile.columns; column++) {
            uint16_t element = 0;
            if (tile.x + column < tile.width && tile.y + row < tile.height)
                memcpy(&element, tile.base + (tile.y + row) * tile.stride_bytes + (tile.x + column) * 2, 2);
            memcpy(shared + permuted(tile.to + row * 128 + column * 2), &element, 2);
        }
    }
    ByteBarrier& barrier = byte_barrier(tile.barrier);
    barrier.bytes -= tile.rows * tile.columns * 2;
    settle(barrier);
}

inline void finish_tiles_of(uint32_t barrier) {
    for (int i = 0; i < tile_count; i++)
        if (!tiles[i].done && tiles[i].barrier == barrier) finish_tile(tiles[i]);
}

inline float element_at(uint64_t matrix, uint32_t offset, float (*widen)(unsigned short), int bytes) {
    uint32_t start = (uint32_t)(matrix & 0x3fff) << 4;
    unsigned short bits = 0;
    memcpy(&bits, shared + permuted(start + offset), bytes);
    return widen(bits);
}

inline uint32_t group_bytes(uint64_t matrix) { return (uint32_t)(matrix >> 32 & 0x3fff) << 4; }
inline uint32_t block_bytes(uint64_t matrix) { return (uint32_t)(matrix >> 16 & 0x3fff) << 4; }

// 64 x 32 bytes by 32 bytes x 128, the part of one lane.
inline void finish_product(const Product& product) {
    float a[2][32], b[32];
    const uint32_t bytes = product.bytes, depth = 32 / bytes;
    for (int half = 0; half < 2; half++) {
        uint32_t row = current / 32 % 4 * 16 + half * 8 + lane() / 4;
        for (uint32_t k = 0; k < depth; k++) {
            uint32_t at = row / 8 * group_bytes(product.a_matrix) + row % 8 * 128 + k * bytes;
            a[half][k] = product.from_registers ? product.a[half][k] : element_at(product.a_matrix, at, product.left, bytes);
        }
    }
    for (int i = 0; i < 64; i++) {
        uint32_t n = i / 4 * 8 + lane() % 4 * 2 + i % 2;
        for (uint32_t k = 0; k < depth; k++) {
            // From registers, two bytes: columns innermost, as values lie; else depth innermost, as keys lie.
            uint32_t at = product.from_registers && bytes == 2
                              ? n / 64 * block_bytes(product.b_matrix) + n % 64 * 2 + k / 8 * group_bytes(product.b_matrix) + k % 8 * 128
                              : n / 8 * group_bytes(product.b_matrix) + n % 8 * 128 + k * bytes;
            b[k] = element_at(product.b_matrix, at, product.right, bytes);
        }
        float sum = 0;
        for (uint32_t k = 0; k < depth; k++) sum += a[i / 2 % 2][k] * b[k];
        if (product.whole) {
            int& d = ((int*)product.d)[i];
            d = (product.add ? d : 0) + (int)sum;
        } else {
            float& d = ((float*)product.d)[i];
            d = product.add ? d + sum : sum;
        }
    }
}

inline void finish_products_before(int group) {
    Thread& thread = self();
    int kept = 0;
    for (int i = 0; i < thread.product_count; i++) {
        if (thread.products[i].group < group) finish_product(thread.products[i]);
        else thread.products[kept++] = thread.products[i];
    }
    thread.product_count = kept;
}

inline void start_product(void* d, const unsigned* a, uint64_t a_matrix, uint64_t b_matrix, bool add,
                          float (*left)(unsigned short), float (*right)(unsigned short), int bytes, bool whole) {
    Product product{d, left, right, bytes, whole, a != nullptr, add, {}, a_matrix, b_matrix, self().product_group};
    if (b_matrix >> 62 != 1) fail("a matrix that is not permuted in runs of 128 bytes");
    if (a) {
        memcpy(warp().words[lane()], a, 16);
        wait_warp();
        int pieces = 4 / bytes;  // elements of a register
        for (int half = 0; half < 2; half++)
            for (int k = 0; k < 32 / bytes; k++) {
                int across = k % (4 * pieces), register_index = half + k / (4 * pieces) * 2;
                uint32_t word = warp().words[lane() / 4 * 4 + across / pieces][register_index];
                uint32_t bits = word >> across % pieces * bytes * 8;
                product.a[half][k] = left((unsigned short)(bytes == 1 ? bits & 0xff : bits));
            }
        wait_warp();
    }
    if (!products_late) return finish_product(product);
    if (self().product_count == PRODUCTS_MAX) fail("too many products at once");
    self().products[self().product_count++] = product;
}

template <class T> struct Plain { typedef T type; };
template <class T> struct Plain<const T> { typedef T type; };

template <int... I> struct Indices {};
template <int N, int... I> struct Count : Count<N - 1, N - 1, I...> {};
template <int... I> struct Count<0, I...> { typedef Indices<I...> type; };

template <class... A, int... I> inline void call(void (*kernel)(A...), void** arguments, Indices<I...>) {
    kernel(*(typename Plain<A>::type*)arguments[I]...);
}

template <class... A> inline void call(void (*kernel)(A...), void** arguments) {
    call(kernel, arguments, typename Count<sizeof...(A)>::type{});
}

}  // namespace emulator

#define threadIdx (emulator::self().index)
#define blockIdx (emulator::block_index)
#define blockDim (emulator::block_size)
#define gridDim (emulator::grid_size)

// What the kernel's source is followed by: a function that runs it.
#define EMULATE(name)                                                                                                  \
    extern "C" void run_##name(unsigned x, unsigned y, unsigned z, unsigned threads, unsigned shared, void** arguments, \
                               int late, uint64_t* conflicts) {                                                        \
        emulator::run([](void* a) { emulator::call(name, (void**)a); }, arguments, dim3{x, y, z}, threads, shared,      \
                      late);                                                                                           \
        conflicts[0] += emulator::matrix_rows;                                                                         \
        conflicts[1] += emulator::matrix_rows_in_conflict;                                                             \
        emulator::matrix_rows = emulator::matrix_rows_in_conflict = 0;                                                 \
    }

inline void __syncthreads() { emulator::wait_at(emulator::block_barrier, emulator::threads_live); }
inline void __syncwarp(unsigned = ~0u) { emulator::wait_warp(); }

template <class T> inline T __shfl_xor_sync(unsigned, T value, int step) {
    static_assert(sizeof(T) == 4, "a word");
    memcpy(&emulator::warp().words[emulator::lane()][0], &value, 4);
    emulator::wait_warp();
    T other;
    memcpy(&other, &emulator::warp().words[emulator::lane() ^ step][0], 4);
    emulator::wait_warp();
    return other;
}

inline int __any_sync(unsigned, int value) {
    emulator::warp().words[emulator::lane()][0] = value;
    emulator::wait_warp();
    int any = 0;
    for (int lane = 0; lane < 32; lane++) any |= emulator::warp().words[lane][0] != 0;
    emulator::wait_warp();
    return any;
}

template <class T> inline T __shfl_sync(unsigned, T value, int from) {
    static_assert(sizeof(T) == 4, "a word");
    memcpy(&emulator::warp().words[emulator::lane()][0], &value, 4);
    emulator::wait_warp();
    T other;
    memcpy(&other, &emulator::warp().words[from % 32][0], 4);
    emulator::wait_warp();
    return other;
}

inline unsigned __float_as_uint(float x) { unsigned y; memcpy(&y, &x, 4); return y; }
inline float __uint_as_float(unsigned x) { float y; memcpy(&y, &x, 4); return y; }
inline int __float_as_int(float x) { int y; memcpy(&y, &x, 4); return y; }
inline float __int_as_float(int x) { float y; memcpy(&y, &x, 4); return y; }
inline int __float2int_rn(float x) { return x != x ? 0 : (int)rintf(x); }
// The bytes of low and then high that the digits of `which` name, the last digit first.
inline unsigned __byte_perm(unsigned low, unsigned high, unsigned which) {
    uint64_t bytes = low | (uint64_t)high << 32;
    unsigned y = 0;
    for (int i = 0; i < 4; i++) y |= (unsigned)(bytes >> (which >> 4 * i & 7) * 8 & 0xff) << 8 * i;
    return y;
}
inline unsigned __dp4a(unsigned a, unsigned b, unsigned c) {
    for (int i = 0; i < 4; i++) c += (a >> 8 * i & 0xff) * (b >> 8 * i & 0xff);
    return c;
}
inline float __expf(float x) { return expf(x); }
inline float rsqrtf(float x) { return 1.0f / sqrtf(x); }
inline float __frcp_rn(float x) { return 1.0f / x; }
inline unsigned min(unsigned a, unsigned b) { return a < b ? a : b; }
inline unsigned max(unsigned a, unsigned b) { return a > b ? a : b; }
inline int min(int a, int b) { return a < b ? a : b; }
inline int max(int a, int b) { return a > b ? a : b; }
inline unsigned atomicMax(unsigned* at, unsigned value) {
    unsigned before = *at;
    if (value > before) *at = value;
    return before;
}

// What the prelude has instructions for.

inline float f16_to_f32(unsigned short x) { return emulator::half_to_float(x); }
inline unsigned short f32_to_f16(float x) {
    _Float16 y = (_Float16)x;
    unsigned short bits;
    memcpy(&bits, &y, 2);
    return bits;
}
inline unsigned short f32_to_bf16(float x) {
    unsigned bits = __float_as_uint(x);
    if (x != x) return 0x7fff;
    return (unsigned short)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}
inline unsigned pack_bf16(float low, float high) { return f32_to_bf16(low) | (unsigned)f32_to_bf16(high) << 16; }
inline unsigned pack_f16(float low, float high) { return f32_to_f16(low) | (unsigned)f32_to_f16(high) << 16; }
inline float exp2_fast(float x) { return exp2f(x); }

inline unsigned shared_address(const void* p) { return (unsigned)((const unsigned char*)p - emulator::shared); }

inline void compute_anew(unsigned&) {}

inline void copy_async_16(unsigned to, const void* from, bool valid) {
    emulator::Thread& thread = emulator::self();
    if (to % 16 || (valid && (uintptr_t)from % 16)) { fprintf(stderr, "a copy of 16 bytes that lie askew\n"); abort(); }
    emulator::Copy copy{emulator::shared + to, from, valid, thread.group};
    if (!emulator::copies_late) return emulator::finish_copy(copy);
    if (thread.copy_count == emulator::COPIES_MAX) { fprintf(stderr, "too many copies at once\n"); abort(); }
    thread.copies[thread.copy_count++] = copy;
}
inline void copy_async_commit() { emulator::self().group++; }
template <int PENDING> inline void copy_async_wait() {
    emulator::finish_copies_before(emulator::self().group - PENDING);
}

inline void load_matrices(unsigned (&r)[4], unsigned address) { emulator::load_matrices(r, address, false); }
inline void load_matrices_transposed(unsigned (&r)[4], unsigned address) { emulator::load_matrices(r, address, true); }
inline void multiply_bf16(float (&d)[4], const unsigned (&a)[4], unsigned b0, unsigned b1) {
    emulator::multiply<emulator::bf16_at>(d, a, b0, b1);
}
inline void multiply_f16(float (&d)[4], const unsigned (&a)[4], unsigned b0, unsigned b1) {
    emulator::multiply<emulator::f16_at>(d, a, b0, b1);
}
inline void multiply_s8(int (&d)[4], const unsigned (&a)[4], unsigned b0, unsigned b1, const int* c) {
    emulator::multiply_bytes<emulator::s8_of, emulator::s8_of>(d, a, b0, b1, c);
}
inline void multiply_u8_s8(int (&d)[4], const unsigned (&a)[4], unsigned b0, unsigned b1, const int* c) {
    emulator::multiply_bytes<emulator::u8_of, emulator::s8_of>(d, a, b0, b1, c);
}
inline void multiply_e4m3(float (&d)[4], const unsigned (&a)[4], unsigned b0, unsigned b1, const float* c) {
    emulator::multiply_bytes<emulator::e4m3_of, emulator::e4m3_of>(d, a, b0, b1, c);
}
inline void multiply_e4m3(float (&d)[4], const unsigned (&a)[4], unsigned b0, unsigned b1) {
    multiply_e4m3(d, a, b0, b1, d);
}
inline unsigned pack_e4m3(float a, float b, float c, float d) {
    return emulator::to_e4m3(a) | emulator::to_e4m3(b) << 8 | emulator::to_e4m3(c) << 16 | emulator::to_e4m3(d) << 24;
}

// Hopper's.

inline void barrier_init(unsigned barrier, unsigned arrivals) {
    if (emulator::byte_barrier_count == emulator::BYTE_BARRIERS_MAX || barrier % 8) emulator::fail("a barrier");
    emulator::byte_barriers[emulator::byte_barrier_count++] = {barrier, (int)arrivals, (int)arrivals, 0, 0};
}
inline void barriers_are_ready() {}
inline void barrier_arrive(unsigned address) {
    emulator::ByteBarrier& barrier = emulator::byte_barrier(address);
    barrier.pending--;
    emulator::settle(barrier);
    // Whoever waits for this may be quicker than what comes next here.
    for (int i = 0; i < 4 && emulator::products_late; i++) {
        emulator::dawdling = true;
        emulator::give_way();
    }
}
inline void barrier_expect(unsigned address, unsigned bytes) {
    emulator::byte_barrier(address).bytes += bytes;
    barrier_arrive(address);
}
inline void barrier_wait(unsigned address, unsigned parity) {
    for (;;) {
        emulator::finish_tiles_of(address);
        if ((emulator::byte_barrier(address).phase & 1) != parity) return;
        emulator::give_way();
    }
}
inline void meet(unsigned number, unsigned threads) { emulator::wait_at(emulator::named_barriers[number], threads); }
inline void announce(unsigned number, unsigned threads) {
    emulator::Barrier& barrier = emulator::named_barriers[number];
    if (++barrier.arrived >= (int)threads) emulator::open(barrier);
}

template <class Map> inline void copy_tile(unsigned to, const Map& map, unsigned x, unsigned y, unsigned barrier) {
    if (to % 1024) emulator::fail("a tile that does not lie at a multiple of 1024 bytes");
    int slot = 0;
    while (slot < emulator::tile_count && !emulator::tiles[slot].done) slot++;
    if (slot == emulator::TILES_MAX) emulator::fail("too many tiles at once");
    if (slot == emulator::tile_count) emulator::tile_count++;
    // As the machine that stands for the card writes it.
    emulator::tiles[slot] = {to, barrier, (const unsigned char*)map.words[0], map.words[1], map.words[2], map.words[3],
                             x, y, (unsigned)map.words[4], (unsigned)map.words[5], false};
    if (!emulator::copies_late) emulator::finish_tile(emulator::tiles[slot]);
}

template <int COUNT> inline void registers_down() {}
template <int COUNT> inline void registers_up() {}
inline void products_begin() {}
inline void products_commit() { emulator::self().product_group++; }
template <int PENDING> inline void products_wait() {
    emulator::finish_products_before(emulator::self().product_group - PENDING);
}
template <int N> inline void hold(float (&)[N]) {}
template <int N> inline void hold(int (&)[N]) {}
inline void writes_are_ready() {}

#define ELEMENT_OF_T [](unsigned short bits) { T element; element.bits = bits; return widen(element); }
#define multiply_shared(d, a, b, add) emulator::start_product(d, nullptr, a, b, add, ELEMENT_OF_T, ELEMENT_OF_T, 2, false)
#define multiply_registers(d, a, b) emulator::start_product(d, a, 0, b, true, ELEMENT_OF_T, ELEMENT_OF_T, 2, false)
#define multiply_shared_s8(d, a, b, add) \
    emulator::start_product(d, nullptr, a, b, add, emulator::s8_of, emulator::s8_of, 1, true)
#define multiply_registers_u8_s8(d, a, b, add) \
    emulator::start_product(d, a, 0, b, add, emulator::u8_of, emulator::s8_of, 1, true)
#define multiply_registers_e4m3(d, a, b, add) \
    emulator::start_product(d, a, 0, b, add, emulator::e4m3_of, emulator::e4m3_of, 1, false)
