//! Which element of a list became which.

use std::collections::HashMap;

use repot_json::Value;

use super::same::same;
use super::shape::Element;

/// For each new element the old one that it was. Elements are the same by their key where they have one; else
/// equal ones are, from both ends, and between those the rest by their places.
pub(super) fn align(old: &[Value<'_>], new: &[Value<'_>], element: Option<&Element>) -> Vec<Option<usize>> {
    let ways = element.map_or(&[][..], |element| &element.key);
    if !ways.is_empty()
        && let (Some(before), Some(after)) = (keys(old, ways), keys(new, ways))
    {
        let mut found = vec![None; new.len()];
        for (key, at) in after {
            found[at] = before.get(&key).copied();
        }
        return found;
    }
    let pairs = || old.iter().zip(new);
    let front = pairs().take_while(|(one, other)| same(**one, **other)).count();
    let most = old.len().min(new.len()) - front;
    let back = old.iter().rev().zip(new.iter().rev()).take(most);
    let back = back.take_while(|(one, other)| same(**one, **other)).count();
    let middle = old.len() - back;
    (0..new.len())
        .map(|at| match at {
            _ if at >= new.len() - back => Some(old.len() - (new.len() - at)),
            _ => Some(at).filter(|at| *at < front || *at < middle),
        })
        .collect()
}

/// The elements by key; `None` when one has none or two have the same.
fn keys(elements: &[Value<'_>], ways: &[Vec<String>]) -> Option<HashMap<Vec<Vec<u8>>, usize>> {
    let mut found = HashMap::new();
    for (at, element) in elements.iter().enumerate() {
        let part = |way: &Vec<String>| {
            let value = way.iter().try_fold(*element, |value, name| value.get(name))?;
            Some(
                value.content().map_or_else(|| value.raw().as_bytes().to_vec(), std::borrow::Cow::into_owned),
            )
        };
        let key: Option<Vec<Vec<u8>>> = ways.iter().map(part).collect();
        if found.insert(key?, at).is_some() {
            return None;
        }
    }
    Some(found)
}

/// Of those that were there, a longest selection in the old order: these stay where they are, the others move.
pub(super) fn staying(was: &[Option<usize>]) -> Vec<bool> {
    // tails[n]: where the selection of n + 1 elements with the lowest end has its end
    let mut tails: Vec<usize> = Vec::new();
    let mut before: Vec<Option<usize>> = vec![None; was.len()];
    for (at, old) in was.iter().enumerate() {
        let Some(old) = old else { continue };
        let length = tails.partition_point(|&tail| was[tail].is_some_and(|end| end < *old));
        before[at] = length.checked_sub(1).map(|shorter| tails[shorter]);
        if length == tails.len() {
            tails.push(at);
        } else {
            tails[length] = at;
        }
    }
    let mut stays = vec![false; was.len()];
    let mut next = tails.last().copied();
    while let Some(at) = next {
        stays[at] = true;
        next = before[at];
    }
    stays
}

#[cfg(test)]
mod tests {
    use super::staying;

    #[test]
    fn the_most_stay() {
        let stays = |was: &[Option<usize>]| staying(was);
        assert_eq!(stays(&[Some(2), Some(0), Some(1)]), [false, true, true]);
        assert_eq!(stays(&[Some(0), None, Some(3), Some(1), Some(2)]), [true, false, false, true, true]);
        assert_eq!(stays(&[]), [true; 0]);
    }
}
