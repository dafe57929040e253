//! Random changes of random typed values: what is read back is what was set, and what the type does not know stays.

use std::collections::BTreeMap;

use repot::{Collection, Config, Entity, Id, Repot, Shared, StoreExt as _};
use serde::{Deserialize, Serialize};

use crate::collections::MODEL;
use crate::stores::wait;

const ROUNDS: u64 = 400;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Thing {
    id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    word: Option<String>,
    #[serde(default)]
    number: f64,
    #[serde(default)]
    map: BTreeMap<String, i64>,
    #[serde(default)]
    things: Vec<Inner>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    lists: Vec<Vec<i64>>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Inner {
    name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    deep: Option<Box<Self>>,
}

impl Entity for Thing {
    const COLLECTION: &'static str = "notes";
    type Reach = Shared;
    fn id(&self) -> Id {
        (&self.id).into()
    }
}

/// A generator whose numbers follow from its seed (splitmix64).
struct Chance(u64);

impl Chance {
    fn below(&mut self, most: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % most
    }

    fn word(&mut self) -> String {
        ["a", "b", "é \"", "c\n", ""][usize::try_from(self.below(5)).unwrap()].to_owned()
    }

    fn small(&mut self) -> i64 {
        i64::try_from(self.below(3)).unwrap()
    }

    fn inner(&mut self, depth: u64) -> Inner {
        let deep = (depth > 0 && self.below(2) == 0).then(|| Box::new(self.inner(depth - 1)));
        Inner { name: self.word(), deep }
    }

    fn thing(&mut self) -> Thing {
        Thing {
            id: "t".to_owned(),
            word: (self.below(2) == 0).then(|| self.word()),
            number: f64::from(u32::try_from(self.below(1 << 30)).unwrap()) / 977.0,
            map: (0..self.below(4)).map(|_| (self.word(), self.small())).collect(),
            things: (0..self.below(5)).map(|_| self.inner(2)).collect(),
            lists: (0..self.below(3)).map(|_| (0..self.below(4)).map(|_| self.small()).collect()).collect(),
        }
    }
}

#[test]
fn what_is_read_back_is_what_was_set() {
    wait(async {
        let repot = Repot::open(Config::with_model_text("memory:", MODEL)).await.unwrap();
        let things: Collection<Thing> = repot.collection();
        let mut chance = Chance(7);
        let key = things.key("t");
        repot.store().put(&key, "{ \"own\" : [1.50, {}],\"id\":\"t\" }\n").await.unwrap();
        for round in 0..ROUNDS {
            let wanted = chance.thing();
            if round % 2 == 0 {
                things.save(wanted.clone()).await.unwrap();
            } else {
                let mut stored = things.require("t").await.unwrap();
                *stored = wanted.clone();
                things.update(stored).await.unwrap();
            }
            let read = things.require("t").await.unwrap();
            assert_eq!(*read, wanted, "round {round}");
            let text = String::from_utf8(read.body().to_vec()).unwrap();
            assert!(text.starts_with("{ \"own\" : [1.50, {}],\"id\":\"t\""), "round {round}: {text}");
        }
    });
}
