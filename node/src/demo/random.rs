//! Numbers that look random and are the same for the same seed on every machine, for ever.

/// SplitMix64 (G. Steele, D. Lea, C. Flood, 2014): a few lines that will not change under us, which a library might.
#[derive(Clone, Debug)]
pub struct SplitMix(u64);

impl SplitMix {
    /// The sequence of a seed.
    pub fn of(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number of the sequence.
    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number from 0 to one less than `bound`, which must not be 0.
    pub fn below(&mut self, bound: usize) -> usize {
        ((u128::from(self.draw()) * bound as u128) >> 64) as usize
    }

    /// The same, with small numbers more often: the first of a list get most of the business.
    pub fn skewed(&mut self, bound: usize) -> usize {
        self.below(bound).min(self.below(bound))
    }

    /// Whether something happens that happens so many times in a thousand.
    pub fn per_mille(&mut self, times: usize) -> bool {
        self.below(1_000) < times
    }

    /// One of some values.
    pub fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sequence_of_a_seed_is_the_published_one() {
        let mut random = SplitMix::of(1_234_567);
        let first: Vec<u64> = (0..3).map(|_| random.draw()).collect();
        assert_eq!(first, [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]);
    }

    #[test]
    fn bounds_hold() {
        let mut random = SplitMix::of(7);
        assert!((0..10_000).all(|_| random.below(3) < 3 && random.skewed(3) < 3));
    }
}
