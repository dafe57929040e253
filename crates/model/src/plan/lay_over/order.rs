//! Which elements of a list may stay where they are when its order changes.

/// Of the numbers that are there, marks a longest run that ascends: those stay, the others move.
pub(super) fn staying(numbers: &[Option<usize>]) -> Vec<bool> {
    // tails[n]: the item that ends the best run of n + 1 items so far
    let mut tails: Vec<usize> = Vec::new();
    let mut before: Vec<Option<usize>> = vec![None; numbers.len()];
    for (at, number) in numbers.iter().enumerate() {
        if number.is_none() {
            continue;
        }
        let length = tails.partition_point(|&tail| numbers[tail] < *number);
        before[at] = length.checked_sub(1).map(|shorter| tails[shorter]);
        if length == tails.len() {
            tails.push(at);
        } else {
            tails[length] = at;
        }
    }
    let mut stays = vec![false; numbers.len()];
    let mut here = tails.last().copied();
    while let Some(at) = here {
        stays[at] = true;
        here = before[at];
    }
    stays
}

#[cfg(test)]
mod tests {
    use super::staying;

    #[test]
    fn the_longest_ascending_run_stays() {
        assert_eq!(staying(&[Some(2), Some(0), None, Some(1), Some(3)]), [false, true, false, true, true]);
        assert_eq!(staying(&[Some(2), Some(1), Some(0)]).iter().filter(|stays| **stays).count(), 1);
        assert_eq!(staying(&[None, None]), [false, false]);
    }
}
