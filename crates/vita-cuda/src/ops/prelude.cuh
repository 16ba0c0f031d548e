// What every kernel starts with. Nothing is included: the types and the instructions that C++ has no name for
// are defined here, so the compiler needs no folder of headers on the user's machine.
//
// Arithmetic is f32; the other types are storage. `EMULATED` stands for tests that run kernels on a processor:
// there the functions under "Instructions" come from the emulator.

typedef unsigned char u8;
typedef signed char i8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef int i32;
typedef unsigned long long u64;
typedef float f32;

struct f16 { u16 bits; };
struct bf16 { u16 bits; };
struct e4m3 { u8 bits; };
struct e5m2 { u8 bits; };

#define INFINITE __uint_as_float(0x7f800000u)

// ---------------------------------------------------------------------------------------------------------------
// Instructions
// ---------------------------------------------------------------------------------------------------------------

#ifndef EMULATED

#define DYNAMIC_SHARED(name) extern __shared__ __align__(1024) u8 name[]

inline float f16_to_f32(u16 x) {
    float y;
    asm("cvt.f32.f16 %0, %1;" : "=f"(y) : "h"(x));
    return y;
}

inline u16 f32_to_f16(float x) {
    u16 y;
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(y) : "f"(x));
    return y;
}

inline u16 f32_to_bf16(float x) {
    u16 y;
    asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(y) : "f"(x));
    return y;
}

// Two at once; `low` is the element at the lower address.
inline u32 pack_bf16(float low, float high) {
    u32 y;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(y) : "f"(high), "f"(low));
    return y;
}

inline u32 pack_f16(float low, float high) {
    u32 y;
    asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(y) : "f"(high), "f"(low));
    return y;
}

// 2^x; zero for -infinity.
inline float exp2_fast(float x) {
    float y;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}

// Address of shared memory, as the copies and matrix loads take it.
inline u32 shared_address(const void* p) { return (u32)__cvta_generic_to_shared(p); }

// What depends on x is computed where it is used, rather than once and kept in registers that are needed for more.
inline void compute_anew(u32& x) { asm volatile("" : "+r"(x)); }

// 16 bytes from global to shared memory, or zeros if not valid.
inline void copy_async_16(u32 to, const void* from, bool valid) {
    int bytes = valid ? 16 : 0;
    asm volatile("cp.async.cg.shared.global.L2::128B [%0], [%1], 16, %2;" ::"r"(to), "l"(from), "r"(bytes) : "memory");
}

inline void copy_async_commit() { asm volatile("cp.async.commit_group;" ::: "memory"); }

// Waits until at most `PENDING` of this thread's newest groups are under way.
template <int PENDING> inline void copy_async_wait() { asm volatile("cp.async.wait_group %0;" ::"n"(PENDING) : "memory"); }

// Four 8 x 8 matrices of 16-bit elements; lane l gives the address of row l % 8 of matrix l / 8.
inline void load_matrices(u32 (&r)[4], u32 address) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(address)
                 : "memory");
}

inline void load_matrices_transposed(u32 (&r)[4], u32 address) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(address)
                 : "memory");
}

// d += a * b, a: 16 x 16 by rows, b: 16 x 8 by columns, d: 16 x 8.
inline void multiply_bf16(float (&d)[4], const u32 (&a)[4], u32 b0, u32 b1) {
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
                 "{%0, %1, %2, %3};"
                 : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

inline void multiply_f16(float (&d)[4], const u32 (&a)[4], u32 b0, u32 b1) {
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
                 "{%0, %1, %2, %3};"
                 : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

// d = a * b + c, a: 16 x 32 by rows, b: 32 x 8 by columns, c and d: 16 x 8; c may be d.
#define MULTIPLY_WHOLE(name, types)                                                                               \
    inline void name(i32 (&d)[4], const u32 (&a)[4], u32 b0, u32 b1, const i32* c) {                               \
        asm volatile("mma.sync.aligned.m16n8k32.row.col.s32." types ".s32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, "    \
                     "{%8, %9}, {%10, %11, %12, %13};"                                                            \
                     : "=r"(d[0]), "=r"(d[1]), "=r"(d[2]), "=r"(d[3])                                             \
                     : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1), "r"(c[0]), "r"(c[1]),        \
                       "r"(c[2]), "r"(c[3]));                                                                     \
    }
MULTIPLY_WHOLE(multiply_s8, "s8.s8")
MULTIPLY_WHOLE(multiply_u8_s8, "u8.s8")

// From Ada on.
inline void multiply_e4m3(float (&d)[4], const u32 (&a)[4], u32 b0, u32 b1, const float* c) {
    asm volatile("mma.sync.aligned.m16n8k32.row.col.f32.e4m3.e4m3.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
                 "{%10, %11, %12, %13};"
                 : "=f"(d[0]), "=f"(d[1]), "=f"(d[2]), "=f"(d[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1), "f"(c[0]), "f"(c[1]), "f"(c[2]),
                   "f"(c[3]));
}

// d += a * b
inline void multiply_e4m3(float (&d)[4], const u32 (&a)[4], u32 b0, u32 b1) { multiply_e4m3(d, a, b0, b1, d); }

// Four at once, the first at the lowest address; beyond 448 is 448. From Ada on.
inline u32 pack_e4m3(float a, float b, float c, float d) {
    u32 y;
    asm("{\n"
        ".reg .b16 low, high;\n"
        "cvt.rn.satfinite.e4m3x2.f32 low, %2, %1;\n"
        "cvt.rn.satfinite.e4m3x2.f32 high, %4, %3;\n"
        "mov.b32 %0, {low, high};\n"
        "}"
        : "=r"(y)
        : "f"(a), "f"(b), "f"(c), "f"(d));
    return y;
}

#endif

// ---------------------------------------------------------------------------------------------------------------
// One element
// ---------------------------------------------------------------------------------------------------------------

inline float widen(f32 x) { return x; }
inline float widen(f16 x) { return f16_to_f32(x.bits); }
inline float widen(bf16 x) { return __uint_as_float((u32)x.bits << 16); }

// The exponent is 120 short of f32's; NaN is the one code that the shift cannot say.
inline float widen(e4m3 x) {
    if ((x.bits & 0x7f) == 0x7f) return __uint_as_float(0x7fc00000u);
    u32 bits = (u32)(x.bits & 0x80) << 24 | (u32)(x.bits & 0x7f) << 20;
    return __uint_as_float(bits) * __uint_as_float(247u << 23);
}

// The first byte of a half.
inline float widen(e5m2 x) { return f16_to_f32((u16)(x.bits << 8)); }

// To nearest even, up to the largest number; NaN stays NaN.
inline u8 f32_to_e4m3(float x) {
    u32 bits = __float_as_uint(x);
    u32 sign = bits >> 24 & 0x80, size = bits & 0x7fffffff;
    if (size > 0x7f800000u) return (u8)(sign | 0x7f);
    float value = fminf(__uint_as_float(size), 448.0f);
    if (value < 0.015625f) return (u8)(sign | (u32)__float2int_rn(value * 512.0f));
    u32 code = __float_as_uint(value);
    code = (code + 0x7ffff + (code >> 20 & 1)) >> 20;
    return (u8)(sign | (code - (120u << 3)));
}

inline void narrow(f32& y, float x) { y = x; }
inline void narrow(f16& y, float x) { y.bits = f32_to_f16(x); }
inline void narrow(bf16& y, float x) { y.bits = f32_to_bf16(x); }
inline void narrow(e4m3& y, float x) { y.bits = f32_to_e4m3(x); }

// ---------------------------------------------------------------------------------------------------------------
// Eight neighbours at once; addresses are multiples of their size (at most 16 bytes)
// ---------------------------------------------------------------------------------------------------------------

// As they lie in memory.
template <class T> struct Eight;
template <> struct Eight<f32> { uint4 part[2]; };
template <> struct Eight<f16> { uint4 part[1]; };
template <> struct Eight<bf16> { uint4 part[1]; };
template <> struct Eight<e4m3> { uint2 part[1]; };
template <> struct Eight<e5m2> { uint2 part[1]; };

template <class T> inline Eight<T> load_eight(const T* p) { return *reinterpret_cast<const Eight<T>*>(p); }

template <class T> inline void widen_eight(float (&x)[8], const Eight<T>& eight) {
    const T* elements = reinterpret_cast<const T*>(&eight);
#pragma unroll
    for (int i = 0; i < 8; i++) x[i] = widen(elements[i]);
}

template <class T> inline void store_eight(T* p, const float (&x)[8]) {
    Eight<T> eight;
    T* elements = reinterpret_cast<T*>(&eight);
#pragma unroll
    for (int i = 0; i < 8; i++) narrow(elements[i], x[i]);
    *reinterpret_cast<Eight<T>*>(p) = eight;
}

// ---------------------------------------------------------------------------------------------------------------
// Codes of eight bits
// ---------------------------------------------------------------------------------------------------------------

// What counts as the largest size of numbers that are all smaller, so that a scale is never zero.
#define SIZE_LEAST 1e-10f

// Whole numbers of -128 .. 127, the first at the lowest address.
inline u32 four_codes(const float* x) {
    u32 y = 0;
#pragma unroll
    for (int i = 0; i < 4; i++) y |= ((u32)__float2int_rn(x[i]) & 0xff) << 8 * i;
    return y;
}

inline uint2 eight_codes(const float (&x)[8], float factor) {
    float scaled[8];
#pragma unroll
    for (int i = 0; i < 8; i++) scaled[i] = x[i] * factor;
    return uint2{four_codes(scaled), four_codes(scaled + 4)};
}

// Numbers of 0 .. 255, rounded: 2^23 more, and the lowest byte is what is wanted.
inline u32 pack_u8(float a, float b, float c, float d) {
    constexpr float WHOLE = 8388608.0f;
    u32 low = __byte_perm(__float_as_uint(a + WHOLE), __float_as_uint(b + WHOLE), 0x0040);
    u32 high = __byte_perm(__float_as_uint(c + WHOLE), __float_as_uint(d + WHOLE), 0x0040);
    return __byte_perm(low, high, 0x5410);
}

// ---------------------------------------------------------------------------------------------------------------
// Over a warp and a block
// ---------------------------------------------------------------------------------------------------------------

inline float warp_sum(float x) {
#pragma unroll
    for (int step = 16; step > 0; step /= 2) x += __shfl_xor_sync(0xffffffffu, x, step);
    return x;
}

// NaN wins.
inline float greater(float a, float b) { return a > b || a != a ? a : b; }

inline float warp_max(float x) {
#pragma unroll
    for (int step = 16; step > 0; step /= 2) x = greater(__shfl_xor_sync(0xffffffffu, x, step), x);
    return x;
}

// The same sum in every thread. `scratch` holds WARPS values and is free again once the block has synchronised.
template <int WARPS> inline float block_sum(float x, float* scratch) {
    x = warp_sum(x);
    if (threadIdx.x % 32 == 0) scratch[threadIdx.x / 32] = x;
    __syncthreads();
    float sum = 0;
#pragma unroll
    for (int warp = 0; warp < WARPS; warp++) sum += scratch[warp];
    return sum;
}

template <int WARPS> inline float block_max(float x, float* scratch) {
    x = warp_max(x);
    if (threadIdx.x % 32 == 0) scratch[threadIdx.x / 32] = x;
    __syncthreads();
    float most = scratch[0];
#pragma unroll
    for (int warp = 1; warp < WARPS; warp++) most = greater(scratch[warp], most);
    return most;
}

// ---------------------------------------------------------------------------------------------------------------
// Activations
// ---------------------------------------------------------------------------------------------------------------

inline float silu(float x) { return x / (1.0f + __expf(-x)); }

// 0.5 x (1 + tanh(u)) = x / (1 + e^(-2u)), u = sqrt(2/pi) (x + 0.044715 x^3)
inline float gelu_tanh(float x) {
    float u = 0.7978845608028654f * (x + 0.044715f * x * x * x);
    return x / (1.0f + __expf(-2.0f * u));
}

inline float gelu_erf(float x) { return 0.5f * x * (1.0f + erff(x * 0.7071067811865476f)); }
