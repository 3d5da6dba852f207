//! Removes a tree.
