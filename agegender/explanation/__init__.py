"""Explanation: which parts of a face an answer rests on."""
