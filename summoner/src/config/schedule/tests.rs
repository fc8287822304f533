use chrono::{DateTime, TimeZone, Utc};
use chrono_tz::{Europe, Tz};
use proptest::prelude::*;

use super::*;

fn due(text: &str, now: &str, zone: Tz) -> String {
    let now = DateTime::parse_from_rfc3339(now).unwrap().with_timezone(&zone);
    parse(text).unwrap().next_after(&now).unwrap().to_rfc3339()
}

fn last(text: &str, now: &str, zone: Tz) -> String {
    let now = DateTime::parse_from_rfc3339(now).unwrap().with_timezone(&zone);
    parse(text).unwrap().last_until(&now).unwrap().to_rfc3339()
}

#[test]
fn weekdays_are_crontabs() {
    // 2026-11-21 is a Saturday.
    for sunday in ["0 3 * * 0", "0 3 * * 7", "0 3 * * sun", "0 3 * * SUN", "0 3 * * 7-7"] {
        assert_eq!(due(sunday, "2026-11-21T12:00:00Z", Tz::UTC), "2026-11-22T03:00:00+00:00", "{sunday}");
    }
    assert_eq!(due("0 3 * * 1-5", "2026-11-21T12:00:00Z", Tz::UTC), "2026-11-23T03:00:00+00:00");
    assert_eq!(due("0 3 * * fri-7", "2026-11-22T12:00:00Z", Tz::UTC), "2026-11-27T03:00:00+00:00");
}

#[test]
fn day_or_weekday_is_due_when_either_is() {
    assert_eq!(due("0 3 13 * fri", "2026-11-21T12:00:00Z", Tz::UTC), "2026-11-27T03:00:00+00:00");
    assert_eq!(due("0 3 13 * fri", "2026-12-11T12:00:00Z", Tz::UTC), "2026-12-13T03:00:00+00:00");
    // The day never comes, the weekday does.
    assert_eq!(due("0 3 31 2 mon", "2026-11-21T12:00:00Z", Tz::UTC), "2027-02-01T03:00:00+00:00");
}

#[test]
fn a_night_that_springs_forward_still_has_its_backup() {
    assert_eq!(due("30 2 * * *", "2026-03-28T12:00:00Z", Europe::Paris), "2026-03-29T03:00:00+02:00");
    assert_eq!(due("30 2 * * *", "2026-03-29T01:00:00Z", Europe::Paris), "2026-03-30T02:30:00+02:00");
    assert_eq!(last("30 2 * * *", "2026-03-29T01:10:00Z", Europe::Paris), "2026-03-29T03:00:00+02:00");
}

#[test]
fn a_repeated_hour_has_one_backup() {
    assert_eq!(due("30 2 * * *", "2026-10-24T12:00:00Z", Europe::Paris), "2026-10-25T02:30:00+02:00");
    assert_eq!(due("30 2 * * *", "2026-10-25T00:30:00Z", Europe::Paris), "2026-10-26T02:30:00+01:00");
    // In the second pass, before 02:30 on the wall: it was due an hour ago.
    assert_eq!(due("30 2 * * *", "2026-10-25T01:10:00Z", Europe::Paris), "2026-10-26T02:30:00+01:00");
    assert_eq!(last("30 2 * * *", "2026-10-25T01:10:00Z", Europe::Paris), "2026-10-25T02:30:00+02:00");
}

#[test]
fn macros_are_known() {
    assert_eq!(due("@daily", "2026-11-21T12:00:00Z", Tz::UTC), "2026-11-22T00:00:00+00:00");
    assert_eq!(due("@weekly", "2026-11-21T12:00:00Z", Tz::UTC), "2026-11-22T00:00:00+00:00");
    assert_eq!(due("@yearly", "2026-11-21T12:00:00Z", Tz::UTC), "2027-01-01T00:00:00+00:00");
}

#[test]
fn a_wrong_expression_is_explained() {
    let said: Vec<String> = [
        "0 3 * *",
        "0 25 * * *",
        "0 3 31 2 *",
        "0 3 * * 8",
        "0 3 * foo *",
        "5/10 * * * *",
        "0 5-3 * * *",
        "*/0 * * * *",
        "@dayly",
        "",
        "0 0 3 * * *",
    ]
    .into_iter()
    .map(|text| format!("{text:14} {}", parse(text).unwrap_err()))
    .collect();
    insta::assert_snapshot!(said.join("\n"), @r"
    0 3 * *        a schedule has 5 fields (minute hour day month weekday), this one has 4
    0 25 * * *     hour `25`: allowed is 0 to 23, * for any, lists and ranges
    0 3 31 2 *     it never comes: no month named there has such a day
    0 3 * * 8      weekday `8`: allowed is 0 to 7, sun to sat, * for any, lists and ranges
    0 3 * foo *    month `foo`: allowed is 1 to 12, jan to dec, * for any, lists and ranges
    5/10 * * * *   minute `5/10`: a step needs a range, such as 5-59/10
    0 5-3 * * *    hour `5-3`: the range 5-3 runs backwards
    */0 * * * *    minute `*/0`: a step is a number from 1 on
    @dayly         `@dayly` is no schedule; did you mean `@daily`?
                   a schedule has 5 fields (minute hour day month weekday), this one has 0
    0 0 3 * * *    a schedule has 5 fields (minute hour day month weekday), this one has 6
    ");
}

#[test]
fn leap_days_come() {
    assert_eq!(due("0 3 29 2 *", "2026-11-21T12:00:00Z", Tz::UTC), "2028-02-29T03:00:00+00:00");
}

fn field(least: u8, most: u8) -> impl Strategy<Value = String> {
    prop_oneof![
        4 => Just("*".to_owned()),
        3 => (least..=most).prop_map(|n| n.to_string()),
        1 => (least..=most, 1..20_u8).prop_map(move |(first, step)| format!("{first}-{most}/{step}")),
        1 => (1..20_u8).prop_map(|step| format!("*/{step}")),
        1 => proptest::collection::vec(least..=most, 2..4).prop_map(|all| all.iter().map(u8::to_string).collect::<Vec<_>>().join(",")),
        1 => (least..=most, least..=most).prop_map(|(a, b)| format!("{}-{}", a.min(b), a.max(b))),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    /// In a zone without clock changes, croner and we agree on every expression.
    #[test]
    fn croner_agrees(minute in field(0, 59), hour in field(0, 23), day in field(1, 31), month in field(1, 12), weekday in field(0, 6), start in 1_767_225_600_i64..1_924_992_000) {
        let text = format!("{minute} {hour} {day} {month} {weekday}");
        let Ok(ours) = parse(&text) else { return Ok(()) };
        let theirs: croner::Cron = text.parse().unwrap();
        let mut now = Utc.timestamp_opt(start, 0).unwrap();
        for _ in 0..6 {
            let expected = theirs.find_next_occurrence(&now, false).unwrap();
            prop_assert_eq!(ours.next_after(&now), Some(expected), "{} after {}", text, now);
            prop_assert_eq!(ours.last_until(&expected), Some(expected), "{} until {}", text, expected);
            now = expected;
        }
    }

    /// Whatever the clock does, every due time is later than the one before and nothing lies between.
    #[test]
    fn the_past_and_the_future_meet(minute in field(0, 59), hour in field(0, 3), start in prop_oneof![1_774_600_000_i64..1_774_900_000, 1_792_700_000_i64..1_793_100_000]) {
        let schedule = parse(&format!("{minute} {hour} * * *")).unwrap();
        let now = Europe::Paris.timestamp_opt(start, 0).unwrap();
        let next = schedule.next_after(&now).unwrap();
        prop_assert!(next > now);
        prop_assert_eq!(schedule.last_until(&next), Some(next));
        let last = schedule.last_until(&now).unwrap();
        prop_assert!(last <= now);
        prop_assert_eq!(schedule.next_after(&last), Some(next));
    }
}
