//! NumPy's `SeedSequence`, which spreads a seed and a place in a tree into independent seeds
//! (after O'Neill's `seed_seq_fe`).

/// Words of the pool that the Brownian tree asks for.
const POOL: usize = 24;

const MIX_LEFT: u32 = 0xca01_f9dd;
const MIX_RIGHT: u32 = 0x4973_f715;
const SHIFT: u32 = 16;

/// `SeedSequence(entropy, spawn_key=spawn_key, pool_size=24).generate_state(1)[0]`.
pub fn first_state(entropy: u64, spawn_key: &[u64]) -> u32 {
    let mut words = words_of(entropy);
    if !spawn_key.is_empty() {
        words.resize(POOL.max(words.len()), 0);
        words.extend(spawn_key.iter().flat_map(|&key| words_of(key)));
    }
    let mut hash = Hash { constant: 0x43b0_d7e5, multiplier: 0x931e_8875 };
    let mut pool: [u32; POOL] = std::array::from_fn(|i| hash.mix(words.get(i).copied().unwrap_or(0)));
    for source in 0..POOL {
        for target in (0..POOL).filter(|&target| target != source) {
            pool[target] = mix(pool[target], hash.mix(pool[source]));
        }
    }
    for &word in words.iter().skip(POOL) {
        for target in &mut pool {
            *target = mix(*target, hash.mix(word));
        }
    }
    Hash { constant: 0x8b51_f9dd, multiplier: 0x58f3_8ded }.mix(pool[0])
}

/// 32-bit words, the lowest first, without empty ones at the end; one for zero.
fn words_of(value: u64) -> Vec<u32> {
    match value >> 32 {
        0 => vec![value as u32],
        high => vec![value as u32, high as u32],
    }
}

struct Hash {
    constant: u32,
    multiplier: u32,
}

impl Hash {
    fn mix(&mut self, value: u32) -> u32 {
        let value = value ^ self.constant;
        self.constant = self.constant.wrapping_mul(self.multiplier);
        let value = value.wrapping_mul(self.constant);
        value ^ value >> SHIFT
    }
}

fn mix(x: u32, y: u32) -> u32 {
    let result = MIX_LEFT.wrapping_mul(x).wrapping_sub(MIX_RIGHT.wrapping_mul(y));
    result ^ result >> SHIFT
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_are_numpys() {
        assert_eq!(first_state(0, &[]), 4_025_752_534);
        assert_eq!(first_state(0, &[0, 0]), 245_430_115);
        assert_eq!(first_state(42, &[]), 387_750_627);
        assert_eq!(first_state(42, &[0, 0]), 2_102_017_995);
    }
}
