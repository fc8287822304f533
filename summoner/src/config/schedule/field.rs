//! One field of a cron expression: a set of numbers, checked with words that a person understands.

use super::ScheduleError;

/// What a field may hold.
pub(super) struct Kind {
    name: &'static str,
    least: u8,
    most: u8,
    /// Names of the numbers, from the least on.
    names: &'static [&'static str],
}

pub(super) const MINUTE: Kind = Kind { name: "minute", least: 0, most: 59, names: &[] };
pub(super) const HOUR: Kind = Kind { name: "hour", least: 0, most: 23, names: &[] };
pub(super) const DAY: Kind = Kind { name: "day", least: 1, most: 31, names: &[] };
pub(super) const MONTH: Kind = Kind {
    name: "month",
    least: 1,
    most: 12,
    names: &["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"],
};
/// 7 is Sunday as well as 0.
pub(super) const WEEKDAY: Kind = Kind { name: "weekday", least: 0, most: 7, names: &["sun", "mon", "tue", "wed", "thu", "fri", "sat"] };

/// The numbers of one field.
pub(super) struct Field {
    /// None is every number.
    numbers: Option<Vec<u8>>,
    /// Anything but `*` was written.
    pub(super) restricted: bool,
}

impl Field {
    pub(super) fn any() -> Self {
        Self { numbers: None, restricted: false }
    }

    /// As the `cron` crate reads minutes, hours, days and months.
    pub(super) fn numbers(&self) -> String {
        self.joined(|number| number.to_string())
    }

    /// As the `cron` crate reads weekdays: by name, since its numbers are off by one from crontab's.
    pub(super) fn weekdays(&self) -> String {
        self.joined(|number| WEEKDAY.names[usize::from(number % 7)].to_owned())
    }

    fn joined(&self, text: impl Fn(u8) -> String) -> String {
        match &self.numbers {
            None => "*".to_owned(),
            Some(numbers) => numbers.iter().map(|number| text(*number)).collect::<Vec<_>>().join(","),
        }
    }
}

impl Kind {
    pub(super) fn parse(&self, text: &str) -> Result<Field, ScheduleError> {
        if text == "*" {
            return Ok(Field::any());
        }
        let fail = |reason| ScheduleError::Field { field: self.name, text: text.chars().take(40).collect(), reason };
        let mut numbers = Vec::new();
        for item in text.split(',') {
            numbers.extend(self.item(item).map_err(fail)?);
        }
        numbers.sort_unstable();
        numbers.dedup();
        Ok(Field { numbers: Some(numbers), restricted: true })
    }

    /// `4`, `mon`, `1-5`, `*/2`, `8-18/2`.
    fn item(&self, item: &str) -> Result<Vec<u8>, String> {
        let (range, step) = match item.split_once('/') {
            None => (item, 1),
            Some((range, step)) => (range, step.parse::<u8>().ok().filter(|step| *step > 0).ok_or("a step is a number from 1 on")?),
        };
        let (first, last) = if range == "*" {
            (self.least, if self.names.len() == 7 { 6 } else { self.most })
        } else if let Some((first, last)) = range.split_once('-') {
            (self.number(first)?, self.number(last)?)
        } else if item.contains('/') {
            return Err(format!("a step needs a range, such as {range}-{}{}", self.most, &item[range.len()..]));
        } else {
            let number = self.number(range)?;
            (number, number)
        };
        if first > last {
            return Err(format!("the range {range} runs backwards"));
        }
        Ok((first..=last).step_by(usize::from(step)).collect())
    }

    fn number(&self, text: &str) -> Result<u8, String> {
        let named = self.names.iter().position(|name| name.eq_ignore_ascii_case(text)).and_then(|at| u8::try_from(at).ok());
        let number = named.map(|at| at + self.least).or_else(|| text.parse().ok());
        let allowed = || format!("{} to {}", self.least, self.most);
        number.filter(|number| (self.least..=self.most).contains(number)).ok_or_else(|| match self.names {
            [] => format!("allowed is {}, * for any, lists and ranges", allowed()),
            [first, .., last] => format!("allowed is {}, {first} to {last}, * for any, lists and ranges", allowed()),
            [one] => format!("allowed is {}, {one}", allowed()),
        })
    }
}
