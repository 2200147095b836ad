//! Amounts and durations as they are written. `locales/examples.json` holds them to the page's.

use ionet_core::Money;

/// Two decimals from one unit upward, four below it, six below a hundredth; never rounded up, and no zeros after the
/// second decimal. Without the currency.
pub fn money(amount: Money) -> String {
    let exact = amount.to_string();
    let size = amount.micros.unsigned_abs();
    let decimals = match size {
        1_000_000.. => 2,
        10_000..1_000_000 => 4,
        _ => 6,
    };
    let point = exact.find('.').unwrap_or(exact.len());
    let cut = &exact[..(point + 1 + decimals).min(exact.len())];
    let zeros = cut.len() - cut.trim_end_matches('0').len();
    cut[..cut.len() - zeros.min(decimals - 2)].to_owned()
}

/// The two largest units, rounded down: `1 h 12 min`, `35 min`, `4 s`.
pub fn duration(ms: i64) -> String {
    let seconds = ms.max(0) / 1000;
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    let two = |big: i64, unit: &str, small: i64, less: &str| match small {
        0 => format!("{big} {unit}"),
        small => format!("{big} {unit} {small} {less}"),
    };
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, minutes) => format!("{minutes} min"),
        (0, hours, _) => two(hours, "h", minutes % 60, "min"),
        (days, ..) => two(days, "d", hours % 24, "h"),
    }
}
