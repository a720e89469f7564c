//! Patterns as a tree of levels, so that a decision takes as many steps as the address has levels, however many there are.

use super::pattern::{Level, Part, Pattern, Placeholder, fits};
use rustc_hash::{FxBuildHasher, FxHashMap};
use std::hash::BuildHasher;
use std::ops::{BitAnd, BitOrAssign};
use windrose_event::{Identity, Permission};

/// Permissions that are allowed and denied, a bit for each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Marks {
    pub(super) allow: u8,
    pub(super) deny: u8,
}

impl Marks {
    pub(super) const fn of(permission: Permission) -> u8 {
        1 << permission as u8
    }

    fn is_none(self) -> bool {
        self.allow | self.deny == 0
    }
}

impl BitOrAssign for Marks {
    fn bitor_assign(&mut self, other: Self) {
        self.allow |= other.allow;
        self.deny |= other.deny;
    }
}

impl BitAnd for Marks {
    type Output = Self;

    fn bitand(self, other: Self) -> Self {
        Self { allow: self.allow & other.allow, deny: self.deny & other.deny }
    }
}

/// A node's place in the forest.
pub(super) type NodeId = u32;

/// Trees of patterns, one for each principal that rules speak of.
#[derive(Clone, Debug, Default)]
pub(super) struct Forest(Box<[Node]>);

/// One level of patterns that are the same up to here.
#[derive(Clone, Debug, Default)]
struct Node {
    /// Of patterns that end here.
    end: Marks,
    /// Of patterns that go on with `#`.
    rest: Marks,
    /// Of all that go through here or end here.
    below: Marks,
    one: Option<NodeId>,
    texts: Texts,
    filled: Option<Box<Filled>>,
}

/// Children by the text of their level.
#[derive(Clone, Debug)]
enum Texts {
    Few(Box<[(Box<[u8]>, NodeId)]>),
    /// The operator chose the keys, nobody else: a fast hash is safe.
    Many(FxHashMap<Box<[u8]>, NodeId>, Longest),
}

/// The longest key of a table: what is longer is not hashed.
type Longest = usize;

/// Up to so many are compared one by one.
const FEW: usize = 8;

impl Default for Texts {
    fn default() -> Self {
        Self::Few(Box::default())
    }
}

impl Texts {
    fn new(texts: FxHashMap<Box<[u8]>, NodeId>) -> Self {
        if texts.len() <= FEW {
            return Self::Few(texts.into_iter().collect());
        }
        let longest = texts.keys().map(|text| text.len()).max().unwrap_or_default();
        Self::Many(texts, longest)
    }

    fn get(&self, level: &[u8]) -> Option<NodeId> {
        match self {
            Self::Few(list) => list.iter().find(|(text, _)| **text == *level).map(|(_, node)| *node),
            Self::Many(table, longest) if level.len() <= *longest => table.get(level).copied(),
            Self::Many(..) => None,
        }
    }
}

/// Children whose level has placeholders.
#[derive(Clone, Debug, Default)]
struct Filled {
    /// A placeholder alone.
    alone: Box<[(Placeholder, NodeId)]>,
    /// Text before, after or between, by how long that is.
    mixed: Box<[Shape]>,
}

/// Levels whose text before and after the placeholders has the same lengths: they can be looked up by it.
#[derive(Clone, Debug)]
struct Shape {
    before: usize,
    after: usize,
    /// By a hash of both texts.
    table: FxHashMap<u64, Box<[Mixed]>>,
}

fn hash(before: &[u8], after: &[u8]) -> u64 {
    FxBuildHasher.hash_one((before, after))
}

#[derive(Clone, Debug)]
struct Mixed {
    before: Box<[u8]>,
    after: Box<[u8]>,
    between: Box<[Part]>,
    node: NodeId,
}

impl Filled {
    fn new(parts: FxHashMap<Box<[Part]>, NodeId>) -> Option<Box<Self>> {
        if parts.is_empty() {
            return None;
        }
        let mut alone = Vec::new();
        let mut mixed: FxHashMap<(usize, usize), FxHashMap<u64, Vec<Mixed>>> = FxHashMap::default();
        for (parts, node) in parts {
            if let [Part::Placeholder(placeholder)] = &*parts {
                alone.push((placeholder.clone(), node));
                continue;
            }
            let (before, rest) = match &*parts {
                [Part::Text(text), rest @ ..] => (text.as_bytes(), rest),
                rest => (&[][..], rest),
            };
            let (after, between) = match rest {
                [rest @ .., Part::Text(text)] => (text.as_bytes(), rest),
                rest => (&[][..], rest),
            };
            let table = mixed.entry((before.len(), after.len())).or_default();
            let same = table.entry(hash(before, after)).or_default();
            same.push(Mixed { before: before.into(), after: after.into(), between: between.into(), node });
        }
        let shapes = mixed.into_iter().map(|((before, after), table)| Shape {
            before,
            after,
            table: table.into_iter().map(|(hash, list)| (hash, list.into())).collect(),
        });
        Some(Box::new(Self { alone: alone.into(), mixed: shapes.collect() }))
    }

    /// Gives the children that a level fits; `first_of_system`: of those only that do not begin with a placeholder.
    fn each(&self, identity: &Identity, level: &[u8], first_of_system: bool, mut give: impl FnMut(NodeId)) {
        if !first_of_system {
            for (placeholder, node) in &self.alone {
                if placeholder.can_be(identity, level) {
                    give(*node);
                }
            }
        }
        for shape in &self.mixed {
            let Some(inner) = level.len().checked_sub(shape.before + shape.after) else { continue };
            if first_of_system && shape.before == 0 {
                continue;
            }
            let (before, rest) = level.split_at(shape.before);
            let (between, after) = rest.split_at(inner);
            let Some(same) = shape.table.get(&hash(before, after)) else { continue };
            for one in same.iter().filter(|one| *one.before == *before && *one.after == *after) {
                if fits(&one.between, identity, between) {
                    give(one.node);
                }
            }
        }
    }
}

/// A forest that grows.
#[derive(Default)]
pub(super) struct Planting(Vec<Seedling>);

#[derive(Default)]
struct Seedling {
    end: Marks,
    rest: Marks,
    one: Option<NodeId>,
    texts: FxHashMap<Box<[u8]>, NodeId>,
    parts: FxHashMap<Box<[Part]>, NodeId>,
}

impl Planting {
    /// A new node, the root of a tree or below another one.
    pub(super) fn plant(&mut self) -> NodeId {
        let id = NodeId::try_from(self.0.len()).unwrap_or(NodeId::MAX);
        self.0.push(Seedling::default());
        id
    }

    /// Adds a pattern to the tree at `root`.
    pub(super) fn add(&mut self, root: NodeId, pattern: &Pattern, marks: Marks) {
        let mut at = root;
        for level in pattern.levels() {
            let fresh = NodeId::try_from(self.0.len()).unwrap_or(NodeId::MAX);
            let Some(node) = self.0.get_mut(at as usize) else { return };
            at = match level {
                Level::Rest => {
                    node.rest |= marks;
                    return;
                }
                Level::One => *node.one.get_or_insert(fresh),
                Level::Text(text) => *node.texts.entry(text.as_bytes().into()).or_insert(fresh),
                Level::Parts(parts) => *node.parts.entry(parts.clone()).or_insert(fresh),
            };
            if at == fresh {
                self.plant();
            }
        }
        if let Some(node) = self.0.get_mut(at as usize) {
            node.end |= marks;
        }
    }

    /// The forest, which grows no more.
    pub(super) fn grown(self) -> Forest {
        let mut below = vec![Marks::default(); self.0.len()];
        // Children have higher numbers than their parents.
        for (id, node) in self.0.iter().enumerate().rev() {
            let mut marks = node.end;
            marks |= node.rest;
            let children = node.one.iter().chain(node.texts.values()).chain(node.parts.values());
            for child in children {
                marks |= below.get(*child as usize).copied().unwrap_or_default();
            }
            if let Some(below) = below.get_mut(id) {
                *below = marks;
            }
        }
        let nodes = self.0.into_iter().zip(below).map(|(node, below)| Node {
            end: node.end,
            rest: node.rest,
            below,
            one: node.one,
            texts: Texts::new(node.texts),
            filled: Filled::new(node.parts),
        });
        Forest(nodes.collect())
    }
}

/// One decision on its way through trees.
pub(super) struct Walk<'w> {
    pub(super) forest: &'w Forest,
    pub(super) identity: &'w Identity,
    /// What is looked for. Once something that denies was found nothing else matters.
    pub(super) sought: Marks,
    pub(super) found: Marks,
    /// Whether the path is one of the node's own: its first level is matched by no wildcard.
    pub(super) system: bool,
}

impl Walk<'_> {
    /// Whether there is nothing left to look for.
    pub(super) fn is_over(&self) -> bool {
        self.found.deny != 0 || (self.sought.deny == 0 && self.found.allow != 0)
    }

    /// Goes through a tree.
    pub(super) fn tree(&mut self, root: NodeId, path: &[u8]) {
        self.node(root, Some(path), self.system);
    }

    fn node(&mut self, id: NodeId, path: Option<&[u8]>, first_of_system: bool) {
        let forest = self.forest;
        let Some(node) = forest.0.get(id as usize) else { return };
        let mut wanted = node.below & self.sought;
        if self.found.allow != 0 {
            wanted.allow = 0;
        }
        if wanted.is_none() || self.is_over() {
            return;
        }
        if !first_of_system {
            self.found |= node.rest & self.sought;
        }
        let Some(path) = path else {
            self.found |= node.end & self.sought;
            return;
        };
        let (level, rest) = match path.iter().position(|byte| *byte == b'/') {
            Some(at) => {
                let (level, rest) = path.split_at(at);
                (level, rest.get(1..))
            }
            None => (path, None),
        };
        if let Some(child) = node.texts.get(level) {
            self.node(child, rest, false);
        }
        if let Some(child) = node.one
            && !first_of_system
            && level != b"#"
        {
            self.node(child, rest, false);
        }
        if let Some(filled) = &node.filled {
            let identity = self.identity;
            filled.each(identity, level, first_of_system, |child| self.node(child, rest, false));
        }
    }
}
