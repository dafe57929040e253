//! The word that was probably meant.

/// The candidate nearest to `word` by edits (a swap of neighbours is one), when it is near enough.
#[must_use]
pub fn nearest<'c>(word: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    let folded = word.to_lowercase();
    let most = match folded.chars().count() {
        0..=2 => 1,
        3..=7 => 2,
        _ => 3,
    };
    candidates
        .into_iter()
        .map(|candidate| (distance(&folded, &candidate.to_lowercase()), candidate))
        .filter(|(distance, candidate)| *distance <= most && *distance < candidate.chars().count())
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// "Did you mean `x`?", or else `otherwise`.
pub(super) fn did_you_mean<'c>(
    word: &str,
    candidates: impl IntoIterator<Item = &'c str>,
    otherwise: &str,
) -> String {
    nearest(word, candidates).map_or_else(|| otherwise.to_owned(), |found| format!("Did you mean `{found}`?"))
}

/// Optimal string alignment distance.
fn distance(one: &str, other: &str) -> usize {
    let (one, other): (Vec<char>, Vec<char>) = (one.chars().collect(), other.chars().collect());
    let mut rows: Vec<Vec<usize>> = vec![(0..=other.len()).collect()];
    for (i, a) in one.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, b) in other.iter().enumerate() {
            let mut best = (rows[i][j] + usize::from(a != b)).min(rows[i][j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *a == other[j - 1] && one[i - 1] == *b {
                best = best.min(rows[i - 1][j - 1] + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows[one.len()][other.len()]
}

#[cfg(test)]
mod tests {
    use super::{distance, nearest};

    #[test]
    fn near_words_are_found_and_far_ones_are_not() {
        assert_eq!(distance("txet", "text"), 1);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(nearest("uniqe", ["unique", "key"]), Some("unique"));
        assert_eq!(nearest("mesages", ["messages", "usage"]), Some("messages"));
        assert_eq!(nearest("zebra", ["unique", "key"]), None);
        assert_eq!(nearest("x", ["a", "id"]), None);
    }
}
