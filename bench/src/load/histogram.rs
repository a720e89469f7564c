//! Counts how long things took, exact to 1.6 percent from a nanosecond to centuries.

/// Buckets of each power of two, as a power of two.
const PRECISION: u32 = 6;

/// Durations in nanoseconds, by buckets whose widths grow with them.
pub(crate) struct Histogram {
    buckets: Vec<u64>,
    count: u64,
}

impl Histogram {
    /// Without any.
    pub(crate) fn new() -> Self {
        Self { buckets: vec![0; (64 - PRECISION as usize + 1) << PRECISION], count: 0 }
    }

    /// Counts one.
    pub(crate) fn add(&mut self, nanoseconds: u64) {
        if let Some(bucket) = self.buckets.get_mut(index(nanoseconds)) {
            *bucket += 1;
            self.count += 1;
        }
    }

    /// So large a share of them took at most so long, in microseconds; not a number of none.
    pub(crate) fn microseconds(&self, share: f64) -> f64 {
        let wanted = ((self.count as f64 * share).ceil() as u64).max(1);
        let mut seen = 0;
        for (index, bucket) in self.buckets.iter().enumerate() {
            seen += bucket;
            if seen >= wanted {
                return middle(index) / 1_000.0;
            }
        }
        f64::NAN
    }
}

/// Below 2^PRECISION each has a bucket of its own; from there on each power of two has 2^PRECISION of them.
fn index(nanoseconds: u64) -> usize {
    let exponent = (u64::BITS - nanoseconds.leading_zeros()).saturating_sub(PRECISION + 1);
    ((exponent as usize) << PRECISION) + (nanoseconds >> exponent) as usize
}

/// The middle of a bucket.
fn middle(index: usize) -> f64 {
    let exponent = (index >> PRECISION).saturating_sub(1);
    let mantissa = index - (exponent << PRECISION);
    let width = 2_f64.powi(exponent as i32);
    (mantissa as f64).mul_add(width, (width - 1.0) / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_found_within_the_precision() {
        let mut histogram = Histogram::new();
        for value in 1..=100_000_u64 {
            histogram.add(value * 1_000);
        }
        for (share, expected) in [(0.5, 50_000.0), (0.99, 99_000.0), (0.999, 99_900.0), (1.0, 100_000.0)] {
            let found = histogram.microseconds(share);
            assert!((found / expected - 1.0).abs() < 0.016, "{share}: {found}");
        }
        assert!(Histogram::new().microseconds(0.5).is_nan());
    }

    #[test]
    fn every_value_has_a_bucket_that_it_lies_in() {
        for value in
            (0..64).flat_map(|bits| [(1_u64 << bits) - 1, 1 << bits, (1 << bits) + 1]).chain([u64::MAX])
        {
            let (found, value) = (middle(index(value)), value as f64);
            assert!((found - value).abs() <= value / 64.0 + 0.5, "{value}: {found}");
        }
    }
}
