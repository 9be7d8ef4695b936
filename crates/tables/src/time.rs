//! Timestamps: texts such as `2024-01-31`, `2024-01-31 12:00` and `2024-01-31T12:00:00.5+01:00`, and the seconds since 1970 that
//! they stand for. One without an offset is taken as UTC.

use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;

/// The seconds since 1970 of a text that is a timestamp.
pub fn seconds(text: &str) -> Option<f64> {
    let text = text.trim();
    // What does not begin with a year is none, whatever else it is.
    let bytes = text.as_bytes();
    let year = bytes.len() >= 10 && bytes[..4].iter().all(u8::is_ascii_digit) && bytes[4] == b'-';
    if !year {
        return None;
    }
    let utc = |time: DateTime| time.to_zoned(TimeZone::UTC).ok().map(|zoned| zoned.timestamp());
    let time = match bytes.len() {
        10 => utc(text.parse::<Date>().ok()?.at(0, 0, 0, 0))?,
        _ => match text.parse::<Timestamp>() {
            Ok(time) => time,
            Err(_) => utc(text.parse::<DateTime>().ok()?)?,
        },
    };
    Some(time.as_nanosecond() as f64 / 1e9)
}

/// The numbers of texts that are all timestamps; or the first text that is none.
pub fn all<'a>(texts: impl IntoIterator<Item = Option<&'a str>>) -> Result<Vec<Option<f64>>, &'a str> {
    let number = |text: Option<&'a str>| text.map(|text| seconds(text).ok_or(text)).transpose();
    texts.into_iter().map(number).collect()
}

/// The date and time `count` units after the beginning of 1970, of which there are `per_second` in a second.
pub fn date_time(count: i64, per_second: i64) -> Option<String> {
    let (seconds, rest) = (count.div_euclid(per_second), count.rem_euclid(per_second));
    let nanoseconds = (1_000_000_000 / per_second) * rest;
    let time = Timestamp::new(seconds, nanoseconds as i32).ok()?;
    Some(TimeZone::UTC.to_datetime(time).to_string())
}

/// The date `days` after the first of 1970.
pub fn date(days: i64) -> Option<String> {
    let time = Timestamp::from_second(days.checked_mul(86_400)?).ok()?;
    Some(TimeZone::UTC.to_datetime(time).date().to_string())
}

/// Steps between ticks: of seconds, and of months.
const STEPS: [i64; 23] = [
    1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 10_800, 21_600, 43_200, 86_400,
    172_800, 432_000, 864_000, 1_296_000, 2_592_000,
];
const MONTHS: [i64; 10] = [1, 2, 3, 6, 12, 24, 60, 120, 240, 600];
const DAY: i64 = 86_400;

/// About `target` times between two, in seconds since 1970, that people count by; with labels as short as they can be.
pub fn ticks(low: f64, high: f64, target: usize) -> Vec<(f64, String)> {
    let rough = (high - low) / target.max(1) as f64;
    let date_of = |seconds: f64| {
        Timestamp::from_second(libm::floor(seconds) as i64).map(|t| TimeZone::UTC.to_datetime(t))
    };
    let (Ok(first), Ok(last)) = (date_of(low), date_of(high)) else { return Vec::new() };
    if let Some(step) = STEPS.iter().find(|step| **step as f64 >= rough && **step < 2_592_000) {
        let several_days = first.date() != last.date();
        let label = |time: DateTime| match (*step < DAY, several_days, *step < 60) {
            (false, ..) => time.date().to_string(),
            (true, true, _) => time.strftime("%m-%d %H:%M").to_string(),
            (true, false, true) => time.strftime("%H:%M:%S").to_string(),
            (true, false, false) => time.strftime("%H:%M").to_string(),
        };
        let start = libm::ceil(low / *step as f64) as i64;
        let end = libm::floor(high / *step as f64) as i64;
        let at = (start..=end).map(|k| (k * step) as f64);
        return at.filter_map(|at| Some((at, label(date_of(at).ok()?)))).collect();
    }
    let month = 2_629_746.0;
    let step = MONTHS.iter().copied().find(|step| *step as f64 * month >= rough).unwrap_or(1_200);
    let count = |time: DateTime| i64::from(time.year()) * 12 + i64::from(time.month()) - 1;
    let all = (count(first).div_euclid(step)..=count(last).div_euclid(step)).filter_map(|k| {
        let months = k * step;
        let (year, month) = (months.div_euclid(12), months.rem_euclid(12) + 1);
        let date = Date::new(year.try_into().ok()?, month.try_into().ok()?, 1).ok()?;
        let at = date.at(0, 0, 0, 0).to_zoned(TimeZone::UTC).ok()?.timestamp().as_second() as f64;
        let label = if step % 12 == 0 { year.to_string() } else { date.strftime("%Y-%m").to_string() };
        (low <= at && at <= high).then_some((at, label))
    });
    all.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_where_people_count() {
        let labels = |low: &str, high: &str| {
            let ticks = ticks(seconds(low).unwrap(), seconds(high).unwrap(), 4);
            ticks.into_iter().map(|(_, label)| label).collect::<Vec<_>>()
        };
        assert_eq!(labels("2024-01-01T10:03:00", "2024-01-01T10:59:00"), ["10:15", "10:30", "10:45"]);
        assert_eq!(
            labels("2024-01-01T10:00:00", "2024-01-01T10:00:40"),
            ["10:00:00", "10:00:10", "10:00:20", "10:00:30", "10:00:40"]
        );
        assert_eq!(
            labels("2024-01-01", "2024-01-02T12:00:00"),
            ["01-01 00:00", "01-01 12:00", "01-02 00:00", "01-02 12:00"]
        );
        assert_eq!(
            labels("2024-02-27", "2024-03-02"),
            ["2024-02-27", "2024-02-28", "2024-02-29", "2024-03-01", "2024-03-02"]
        );
        assert_eq!(labels("2023-11-15", "2024-05-15"), ["2024-01", "2024-03", "2024-05"]);
        assert_eq!(labels("1990-05-01", "2021-05-01"), ["2000", "2010", "2020"]);
    }

    #[test]
    fn timestamps_are_seconds_since_1970() {
        assert_eq!(seconds("1970-01-02"), Some(86_400.0));
        assert_eq!(seconds("1970-01-01 00:01"), Some(60.0));
        assert_eq!(seconds("1970-01-01T00:00:01.5"), Some(1.5));
        assert_eq!(seconds("1970-01-01T01:00:00+01:00"), Some(0.0));
        assert_eq!(seconds("2024-02-29T12:00:00Z"), Some(1_709_208_000.0));
        for none in ["2023-02-29", "12:00", "2024", "1.5", "2024-01-xx", "20240101", "free", ""] {
            assert_eq!(seconds(none), None, "{none}");
        }
        assert_eq!(date_time(1_500, 1_000).as_deref(), Some("1970-01-01T00:00:01.5"));
        assert_eq!(date_time(-1, 1).as_deref(), Some("1969-12-31T23:59:59"));
        assert_eq!(date(-1).as_deref(), Some("1969-12-31"));
        assert_eq!(date(i64::MAX), None);
        assert_eq!(all([Some("1970-01-01"), None]), Ok(vec![Some(0.0), None]));
        assert_eq!(all([Some("1970-01-01"), Some("x")]), Err("x"));
    }
}
