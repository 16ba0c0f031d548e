//! Log lines as the page's panel reads them.

use std::time::SystemTime;

use serde_json::{Value as Json, json};

use crate::logs::LogEntry;

/// `{"t": local time, "m": text}`
pub(crate) fn entry(entry: &LogEntry, utc_offset_seconds: i32) -> Json {
    json!({ "t": local_time(entry.time, utc_offset_seconds), "m": entry.text })
}

/// The panel wraps lines at this width.
pub(crate) fn terminal_size() -> Json {
    json!({ "cols": 120, "rows": 30 })
}

/// `2026-01-31T23:59:59.000001`: ISO 8601 without a zone, as Python's `isoformat`.
pub(crate) fn local_time(time: SystemTime, utc_offset_seconds: i32) -> String {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let seconds = i64::try_from(since.as_secs()).unwrap_or(0) + i64::from(utc_offset_seconds);
    let (year, month, day) = civil(seconds.div_euclid(86_400));
    let second_of_day = seconds.rem_euclid(86_400);
    let (hour, minute, second) = (second_of_day / 3600, second_of_day / 60 % 60, second_of_day % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:06}", since.subsec_micros())
}

/// Days since 1970 as year, month, day: years that begin in March, in eras of 400 years (Hinnant,
/// "chrono-Compatible Low-Level Date Algorithms", `civil_from_days`).
fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn times_are_written_as_python_writes_them() {
        for (seconds, offset, expected) in [
            (0, 0, "1970-01-01T00:00:00.000001"),
            (951_782_399, 0, "2000-02-28T23:59:59.000001"),
            (951_782_400, 0, "2000-02-29T00:00:00.000001"),
            (1_798_761_599, 3600, "2027-01-01T00:59:59.000001"),
            (1_798_761_600, -3600, "2026-12-31T23:00:00.000001"),
        ] {
            let time = SystemTime::UNIX_EPOCH + Duration::new(seconds, 1000);
            assert_eq!(local_time(time, offset), expected);
        }
    }
}
