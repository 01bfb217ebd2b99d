//! Medians and percentiles.

/// The middle of some values; of an even number of them, the mean of the two in the middle. NaN of none.
pub(crate) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.get(middle) {
        None => f64::NAN,
        Some(upper) if sorted.len() % 2 == 1 => *upper,
        Some(upper) => sorted[middle - 1].midpoint(*upper),
    }
}

/// The median of the ratios of values of the same round: what slows a whole round does not count.
pub(crate) fn median_ratio(values: &[f64], beside: &[f64]) -> f64 {
    let ratios: Vec<f64> = values.iter().zip(beside).map(|(a, b)| a / b).collect();
    median(&ratios)
}

/// Percentiles of one round, in microseconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Percentiles {
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    pub(crate) p999: f64,
}

impl Percentiles {
    /// Of latencies in nanoseconds. All NaN when there are none.
    pub(crate) fn of(mut nanos: Vec<u32>) -> Self {
        nanos.sort_unstable();
        let at = |share: f64| {
            // Nearest rank.
            let rank = (share * nanos.len() as f64).ceil() as usize;
            let value = nanos.get(rank.saturating_sub(1));
            value.map_or(f64::NAN, |value| f64::from(*value) / 1000.0)
        };
        Self {
            p50: at(0.5),
            p99: at(0.99),
            p999: at(0.999),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians() {
        for (values, expected) in [
            (&[3.0, 1.0, 2.0][..], 2.0),
            (&[4.0, 1.0, 2.0, 3.0], 2.5),
            (&[7.0], 7.0),
        ] {
            assert_eq!(median(values), expected, "{values:?}");
        }
        assert!(median(&[]).is_nan());
        assert_eq!(median_ratio(&[2.0, 30.0, 4.0], &[1.0, 10.0, 1.0]), 3.0);
    }

    #[test]
    fn percentiles_are_of_the_nearest_rank() {
        let all = Percentiles::of((1..=1000).rev().map(|us| us * 1000).collect());
        assert_eq!((all.p50, all.p99, all.p999), (500.0, 990.0, 999.0));
        let one = Percentiles::of(vec![5000]);
        assert_eq!((one.p50, one.p99, one.p999), (5.0, 5.0, 5.0));
        assert!(Percentiles::of(Vec::new()).p50.is_nan());
    }
}
