// SPDX-License-Identifier: MIT OR Apache-2.0

//! Suggestions for a misspelt word.

use std::fmt;

/// The lowest similarity of two words for a suggestion. The similarity of equal words is 1.
const LIKENESS: f64 = 0.75;

/// The name that is most similar to a word. `None` if no name is similar enough.
#[must_use]
pub fn similar<'n>(word: &str, names: impl IntoIterator<Item = &'n str>) -> Option<&'n str> {
    let likeness = names
        .into_iter()
        .map(|name| (strsim::jaro_winkler(name, word), name));
    likeness
        .filter(|&(likeness, _)| likeness > LIKENESS)
        .max_by(|(one, _), (other, _)| one.total_cmp(other))
        .map(|(_, name)| name)
}

/// Displays the question "did you mean" after an error message, if there is a similar name.
#[derive(Clone, Copy, Debug)]
pub struct DidYouMean<'n>(pub Option<&'n str>);

impl fmt::Display for DidYouMean<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(similar) => write!(f, ", did you mean '{similar}'?"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn misspelt_names_are_found_and_others_not() {
        let names = ["queue", "queues", "hooks"];
        for (word, expected) in [
            ("quue", Some("queue")),
            ("hook", Some("hooks")),
            ("colour", None),
            ("", None),
        ] {
            assert_eq!(similar(word, names), expected, "{word}");
        }
        assert_eq!(
            DidYouMean(Some("queue")).to_string(),
            ", did you mean 'queue'?"
        );
        assert_eq!(DidYouMean(None).to_string(), "");
    }
}
