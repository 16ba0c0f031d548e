// How weights lie in memory, and how eight neighbours of a row become numbers.
//
// A format says how many elements share a block (LEN), its size (BYTES), and widens the eight elements that start
// at `at` (a multiple of eight, within the block). The layouts of the quantised ones are those of GGUF files; their
// blocks lie at even addresses only.

template <class T> struct plain {
    static constexpr u32 LEN = 8, BYTES = 8 * sizeof(T);
    static inline void widen_eight_at(const u8* block, u32, float (&x)[8]) {
        widen_eight(x, load_eight(reinterpret_cast<const T*>(block)));
    }
};

inline float half_at(const u8* p) { return f16_to_f32(*reinterpret_cast<const u16*>(p)); }

// Four bits of each of eight bytes.
inline void nibbles(const u8* bytes, u32 shift, u32 (&numbers)[8]) {
#pragma unroll
    for (int i = 0; i < 4; i++) {
        u32 two = *reinterpret_cast<const u16*>(bytes + 2 * i) >> shift;
        numbers[2 * i] = two & 15;
        numbers[2 * i + 1] = two >> 8 & 15;
    }
}

// The fifth bits of eight elements of a block of 32.
inline void add_fifth_bits(const u8* fifths, u32 at, u32 (&numbers)[8]) {
    u32 bits = fifths[at / 8];
#pragma unroll
    for (int i = 0; i < 8; i++) numbers[i] |= (bits >> i & 1) << 4;
}

// The first sixteen elements are the low halves of sixteen bytes, the others the high halves.
struct q4_0 {
    static constexpr u32 LEN = 32, BYTES = 18;
    static inline void widen_eight_at(const u8* block, u32 at, float (&x)[8]) {
        u32 numbers[8];
        nibbles(block + 2 + at % 16, at / 16 * 4, numbers);
        float d = half_at(block);
#pragma unroll
        for (int i = 0; i < 8; i++) x[i] = d * ((float)numbers[i] - 8.0f);
    }
};

struct q4_1 {
    static constexpr u32 LEN = 32, BYTES = 20;
    static inline void widen_eight_at(const u8* block, u32 at, float (&x)[8]) {
        u32 numbers[8];
        nibbles(block + 4 + at % 16, at / 16 * 4, numbers);
        float d = half_at(block), m = half_at(block + 2);
#pragma unroll
        for (int i = 0; i < 8; i++) x[i] = d * (float)numbers[i] + m;
    }
};

struct q5_0 {
    static constexpr u32 LEN = 32, BYTES = 22;
    static inline void widen_eight_at(const u8* block, u32 at, float (&x)[8]) {
        u32 numbers[8];
        nibbles(block + 6 + at % 16, at / 16 * 4, numbers);
        add_fifth_bits(block + 2, at, numbers);
        float d = half_at(block);
#pragma unroll
        for (int i = 0; i < 8; i++) x[i] = d * ((float)numbers[i] - 16.0f);
    }
};

struct q5_1 {
    static constexpr u32 LEN = 32, BYTES = 24;
    static inline void widen_eight_at(const u8* block, u32 at, float (&x)[8]) {
        u32 numbers[8];
        nibbles(block + 8 + at % 16, at / 16 * 4, numbers);
        add_fifth_bits(block + 4, at, numbers);
        float d = half_at(block), m = half_at(block + 2);
#pragma unroll
        for (int i = 0; i < 8; i++) x[i] = d * (float)numbers[i] + m;
    }
};

struct q8_0 {
    static constexpr u32 LEN = 32, BYTES = 34;
    static inline void widen_eight_at(const u8* block, u32 at, float (&x)[8]) {
        float d = half_at(block);
        const u16* numbers = reinterpret_cast<const u16*>(block + 2 + at);
#pragma unroll
        for (int i = 0; i < 4; i++) {
            x[2 * i] = d * (float)(i8)(numbers[i] & 255);
            x[2 * i + 1] = d * (float)(i8)(numbers[i] >> 8);
        }
    }
};

// Sixteen bytes of scales and minima (four bits each), 64 of two-bit numbers, d, d of the minima.
struct q2_k {
    static constexpr u32 LEN = 256, BYTES = 84;
    static inline void widen_eight_at(const u8* block, u32 at, float (&x)[8]) {
        u32 group = at / 16, scale = block[group];
        float d = half_at(block + 80) * (float)(scale & 15), m = half_at(block + 82) * (float)(scale >> 4);
        // Groups of 16 run through 32 bytes twice a shift, four shifts a half.
        const u8* numbers = block + 16 + group / 8 * 32 + group % 2 * 16 + at % 16;
        u32 shift = group % 8 / 2 * 2;
#pragma unroll
        for (int i = 0; i < 8; i++) x[i] = d * (float)(numbers[i] >> shift & 3) - m;
    }
};

// 32 bytes of third bits, 64 of two-bit numbers, twelve of sixteen six-bit scales, d.
struct q3_k {
    static constexpr u32 LEN = 256, BYTES = 110;
    static inline void widen_eight_at(const u8* block, u32 at, float (&x)[8]) {
        u32 group = at / 16;
        const u8* packed = block + 96;
        u32 low = packed[group % 8] >> group / 8 * 4 & 15, high = packed[8 + group % 4] >> group / 4 * 2 & 3;
        float d = half_at(block + 108) * ((float)(low | high << 4) - 32.0f);
        u32 half = group / 8, row = group % 8 / 2, side = group % 2;
        const u8* numbers = block + 32 + half * 32 + side * 16 + at % 16;
        const u8* thirds = block + side * 16 + at % 16;
#pragma unroll
        for (int i = 0; i < 8; i++) {
            float number = (float)(numbers[i] >> 2 * row & 3);
            x[i] = d * (thirds[i] >> (half * 4 + row) & 1 ? number : number - 4.0f);
        }
    }
};

// The six-bit scale and minimum of a group of 32, from twelve bytes that hold eight of each.
inline void scale_and_minimum(const u8* packed, u32 group, float& scale, float& minimum) {
    u32 s, m;
    if (group < 4) {
        s = packed[group] & 63;
        m = packed[group + 4] & 63;
    } else {
        u32 both = packed[group + 4];
        s = (both & 15) | packed[group - 4] >> 6 << 4;
        m = both >> 4 | packed[group] >> 6 << 4;
    }
    scale = (float)s;
    minimum = (float)m;
}

// d, d of the minima, twelve bytes of scales and minima, 128 of two four-bit numbers each.
struct q4_k {
    static constexpr u32 LEN = 256, BYTES = 144;
    static inline void widen_eight_at(const u8* block, u32 at, float (&x)[8]) {
        u32 group = at / 32, numbers[8];
        float scale, minimum;
        scale_and_minimum(block + 4, group, scale, minimum);
        nibbles(block + 16 + group / 2 * 32 + at % 32, group % 2 * 4, numbers);
        float d = half_at(block) * scale, m = half_at(block + 2) * minimum;
#pragma unroll
        for (int i = 0; i < 8; i++) x[i] = d * (float)numbers[i] - m;
    }
};

// As q4_k, with 32 bytes of fifth bits before the numbers.
struct q5_k {
    static constexpr u32 LEN = 256, BYTES = 176;
    static inline void widen_eight_at(const u8* block, u32 at, float (&x)[8]) {
        u32 group = at / 32, numbers[8];
        float scale, minimum;
        scale_and_minimum(block + 4, group, scale, minimum);
        nibbles(block + 48 + group / 2 * 32 + at % 32, group % 2 * 4, numbers);
        float d = half_at(block) * scale, m = half_at(block + 2) * minimum;
        const u8* fifths = block + 16 + at % 32;
#pragma unroll
        for (int i = 0; i < 8; i++) x[i] = d * (float)(numbers[i] | (fifths[i] >> group & 1) << 4) - m;
    }
};

// 128 bytes of low four bits, 64 of high two, sixteen scales, d.
struct q6_k {
    static constexpr u32 LEN = 256, BYTES = 210;
    static inline void widen_eight_at(const u8* block, u32 at, float (&x)[8]) {
        u32 group = at / 16, half = group / 8, row = group % 8 / 2, side = group % 2;
        float d = half_at(block + 208) * (float)(i8)block[192 + group];
        const u8* low = block + half * 64 + row % 2 * 32 + side * 16 + at % 16;
        const u8* high = block + 128 + half * 32 + side * 16 + at % 16;
#pragma unroll
        for (int i = 0; i < 8; i++) {
            u32 number = (low[i] >> row / 2 * 4 & 15) | (high[i] >> 2 * row & 3) << 4;
            x[i] = d * ((float)number - 32.0f);
        }
    }
};
