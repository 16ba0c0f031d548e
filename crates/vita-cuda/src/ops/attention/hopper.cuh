// Instructions that only Hopper has: products of a warpgroup straight from shared memory (wgmma), tiles copied by
// descriptor (TMA), barriers in shared memory that count bytes, and registers handed from warp to warp.

struct alignas(64) TensorMap { u64 words[16]; };

#ifndef EMULATED

#define AS_TEXT_OF(x) #x
#define AS_TEXT(x) AS_TEXT_OF(x)

// ---- barriers ----

inline void barrier_init(u32 barrier, u32 arrivals) {
    asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(barrier), "r"(arrivals) : "memory");
}

// Makes the barriers known to the copy engine.
inline void barriers_are_ready() { asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory"); }

inline void barrier_arrive(u32 barrier) {
    asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(barrier) : "memory");
}

// Arrives, and makes the phase last until so many bytes more have come.
inline void barrier_expect(u32 barrier, u32 bytes) {
    asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(barrier), "r"(bytes) : "memory");
}

// Waits for the end of the phase of this parity; the first phase's is 0.
inline void barrier_wait(u32 barrier, u32 parity) {
    asm volatile("{\n"
                 ".reg .pred done;\n"
                 "again:\n"
                 "mbarrier.try_wait.parity.shared::cta.b64 done, [%0], %1;\n"
                 "@done bra over;\n"
                 "bra again;\n"
                 "over:\n"
                 "}" ::"r"(barrier), "r"(parity)
                 : "memory");
}

// Waits until `threads` threads have come, those included that only announce themselves.
inline void meet(u32 number, u32 threads) { asm volatile("bar.sync %0, %1;" ::"r"(number), "r"(threads) : "memory"); }
inline void announce(u32 number, u32 threads) { asm volatile("bar.arrive %0, %1;" ::"r"(number), "r"(threads) : "memory"); }

// ---- tiles ----

// The tile at column x and row y; outside the tensor are zeros.
inline void copy_tile(u32 to, const TensorMap& map, u32 x, u32 y, u32 barrier) {
    asm volatile("cp.async.bulk.tensor.2d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [%0], [%1, {%2, %3}], [%4];" ::"r"(to),
                 "l"(&map), "r"(x), "r"(y), "r"(barrier)
                 : "memory");
}

// ---- registers ----

template <int COUNT> inline void registers_down() { asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(COUNT)); }
template <int COUNT> inline void registers_up() { asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(COUNT)); }

// ---- products ----

// Makes what this thread wrote to shared memory known to products; then the warpgroup must meet.
inline void writes_are_ready() { asm volatile("fence.proxy.async.shared::cta;" ::: "memory"); }

// Before the first product after registers were written that it reads or adds to.
inline void products_begin() { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }
inline void products_commit() { asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory"); }
template <int PENDING> inline void products_wait() {
    asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(PENDING) : "memory");
}

// Keeps the compiler from reading or writing the registers on the wrong side of a wait.
template <int N> inline void hold(float (&x)[N]) {
#pragma unroll
    for (int i = 0; i < N; i++) asm volatile("" : "+f"(x[i])::"memory");
}
template <int N> inline void hold(i32 (&x)[N]) {
#pragma unroll
    for (int i = 0; i < N; i++) asm volatile("" : "+r"(x[i])::"memory");
}

#define EIGHT(d, i) \
    "+f"(d[i]), "+f"(d[i + 1]), "+f"(d[i + 2]), "+f"(d[i + 3]), "+f"(d[i + 4]), "+f"(d[i + 5]), "+f"(d[i + 6]), "+f"(d[i + 7])
#define SIXTY_FOUR(d) \
    EIGHT(d, 0), EIGHT(d, 8), EIGHT(d, 16), EIGHT(d, 24), EIGHT(d, 32), EIGHT(d, 40), EIGHT(d, 48), EIGHT(d, 56)
#define SIXTY_FOUR_NAMES \
    "{%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, %16, %17, %18, %19, %20, %21, %22, %23, " \
    "%24, %25, %26, %27, %28, %29, %30, %31, %32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, " \
    "%46, %47, %48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63}"
#define WGMMA "wgmma.mma_async.sync.aligned.m64n128k16.f32." AS_TEXT(T) "." AS_TEXT(T) " "

// d (+)= a * b: a 64 x 16 and b 16 x 128, both in shared memory with the depth innermost.
inline void multiply_shared(float (&d)[64], u64 a, u64 b, bool add) {
    asm volatile("{\n"
                 ".reg .pred add;\n"
                 "setp.ne.b32 add, %66, 0;\n" WGMMA SIXTY_FOUR_NAMES ", %64, %65, add, 1, 1, 0, 0;\n"
                 "}"
                 : SIXTY_FOUR(d)
                 : "l"(a), "l"(b), "r"((int)add)
                 : "memory");
}

// d += a * b: a in registers, b in shared memory with the columns innermost.
inline void multiply_registers(float (&d)[64], const u32 (&a)[4], u64 b) {
    asm volatile("{\n" WGMMA SIXTY_FOUR_NAMES ", {%64, %65, %66, %67}, %68, 1, 1, 1, 1;\n"
                 "}"
                 : SIXTY_FOUR(d)
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b)
                 : "memory");
}

// Products of bytes: a 64 x 32, b 32 x 128 in shared memory with the depth innermost.
#define FOUR_OF(kind, d, n) kind(d[n][0]), kind(d[n][1]), kind(d[n][2]), kind(d[n][3])
#define SIXTEEN_OF(kind, d, n) FOUR_OF(kind, d, n), FOUR_OF(kind, d, n + 1), FOUR_OF(kind, d, n + 2), FOUR_OF(kind, d, n + 3)
#define SIXTY_FOUR_OF(kind, d) \
    SIXTEEN_OF(kind, d, 0), SIXTEEN_OF(kind, d, 4), SIXTEEN_OF(kind, d, 8), SIXTEEN_OF(kind, d, 12)

// d (+)= a * b: a in shared memory.
inline void multiply_shared_s8(i32 (&d)[16][4], u64 a, u64 b, bool add) {
    asm volatile("{\n"
                 ".reg .pred add;\n"
                 "setp.ne.b32 add, %66, 0;\n"
                 "wgmma.mma_async.sync.aligned.m64n128k32.s32.s8.s8 " SIXTY_FOUR_NAMES ", %64, %65, add;\n"
                 "}"
                 : SIXTY_FOUR_OF("+r", d)
                 : "l"(a), "l"(b), "r"((int)add)
                 : "memory");
}

// d (+)= a * b: a in registers.
#define MULTIPLY_REGISTERS(name, D, kind, types, signs)                                                                \
    inline void name(D (&d)[16][4], const u32 (&a)[4], u64 b, bool add) {                                              \
        asm volatile("{\n"                                                                                             \
                     ".reg .pred add;\n"                                                                               \
                     "setp.ne.b32 add, %69, 0;\n"                                                                      \
                     "wgmma.mma_async.sync.aligned.m64n128k32." types " " SIXTY_FOUR_NAMES                              \
                     ", {%64, %65, %66, %67}, %68, add" signs ";\n"                                                    \
                     "}"                                                                                               \
                     : SIXTY_FOUR_OF(kind, d)                                                                          \
                     : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "r"((int)add)                               \
                     : "memory");                                                                                      \
    }
MULTIPLY_REGISTERS(multiply_registers_u8_s8, i32, "+r", "s32.u8.s8", "")
MULTIPLY_REGISTERS(multiply_registers_e4m3, float, "+f", "f32.e4m3.e4m3", ", 1, 1")

#endif

// What tells a product where a matrix lies: runs of 128 bytes whose pieces of 16 are permuted as the copy engine
// permutes them. `group_bytes` lie between groups of eight runs; `block_bytes` between blocks of 64 columns, where
// columns are innermost.
inline u64 matrix_at(u32 address, u32 group_bytes, u32 block_bytes) {
    return (u64)(address >> 4 & 0x3fff) | (u64)(block_bytes >> 4 & 0x3fff) << 16 | (u64)(group_bytes >> 4 & 0x3fff) << 32 |
           1ull << 62;
}

// So many bytes further on.
inline u64 further(u64 matrix, u32 bytes) { return matrix + (bytes >> 4); }

// Barriers of a kernel whose queries come once and whose tiles of keys and values come in turns, in shared memory, eight
// bytes each; `empty` is announced by each warp that multiplies.
template <int STAGES> struct Barriers {
    u32 base;
    inline u32 queries() const { return base; }
    inline u32 keys_full(u32 tile) const { return of_tile(0, tile); }
    inline u32 keys_empty(u32 tile) const { return of_tile(1, tile); }
    inline u32 values_full(u32 tile) const { return of_tile(2, tile); }
    inline u32 values_empty(u32 tile) const { return of_tile(3, tile); }
    inline u32 parity(u32 tile) const { return tile / STAGES % 2; }

    inline void init(u32 warps) const {
        barrier_init(queries(), 1);
        for (int stage = 0; stage < STAGES; stage++) {
            barrier_init(keys_full(stage), 1);
            barrier_init(values_full(stage), 1);
            barrier_init(keys_empty(stage), warps);
            barrier_init(values_empty(stage), warps);
        }
        barriers_are_ready();
    }

    inline u32 of_tile(u32 which, u32 tile) const { return base + 8 + (which * STAGES + tile % STAGES) * 8; }
};
