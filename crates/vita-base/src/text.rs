//! Sizes and times as people read them.

/// `1_610_612_736` -> `"1.50 GiB"`. Binary units, three significant digits.
pub fn bytes_text(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut value = bytes as f64;
    let mut unit = 0;
    // 1023.95 would print as "1024 KiB": step up as soon as rounding reaches the next unit.
    while value >= 999.5 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    let decimals = match (unit, value) {
        (0, _) => 0,
        (_, v) if v < 9.995 => 2,
        (_, v) if v < 99.95 => 1,
        _ => 0,
    };
    format!("{value:.decimals$} {}", UNITS[unit])
}

/// `75.2` -> `"1m 15s"`; below a minute one decimal is kept: `"7.3 s"`.
pub fn seconds_text(seconds: f64) -> String {
    if seconds < 59.95 {
        return format!("{seconds:.1} s");
    }
    let total = seconds.round() as u64;
    match (total / 3600, total / 60 % 60, total % 60) {
        (0, minutes, seconds) => format!("{minutes}m {seconds:02}s"),
        (hours, minutes, _) => format!("{hours}h {minutes:02}m"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (bytes, want) in [
            (0, "0 B"),
            (999, "999 B"),
            (1 << 20, "1.00 MiB"),
            (1_610_612_736, "1.50 GiB"),
            (15 << 30, "15.0 GiB"),
            (140 << 30, "140 GiB"),
        ] {
            assert_eq!(bytes_text(bytes), want);
        }
    }

    #[test]
    fn times() {
        for (seconds, want) in
            [(0.04, "0.0 s"), (7.31, "7.3 s"), (59.99, "1m 00s"), (75.2, "1m 15s"), (7300.0, "2h 01m")]
        {
            assert_eq!(seconds_text(seconds), want);
        }
    }
}
