//! Targets to share a total among.

use billing::money::Decimal;

use crate::random::Random;

/// The total that is shared.
#[must_use]
pub fn total() -> Decimal {
    Decimal::new(123_456_789, 2)
}

/// Targets with a project's id and its own cost, up to 50,000 dollars; one in sixteen has none.
#[must_use]
pub fn targets(count: usize) -> Vec<(String, Decimal)> {
    let mut random = Random::new(2);
    let mut cents = || if random.below(16) == 0 { 0 } else { random.below(5_000_000).cast_signed() };
    (0..count).map(|index| (format!("64f0c1a2b3d4e5f6{index:08x}"), Decimal::new(cents(), 2))).collect()
}
