"""The cheapest way to pair rows with columns."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def assign(cost: npt.NDArray[np.float64]) -> list[int]:
    """The column of each row (-1: none) such that the total cost of the pairs is least.

    The Hungarian method with potentials (Kuhn 1955, Munkres 1957), O(n^2 m): rows are added one by one, each along
    the cheapest augmenting path.
    """
    rows, columns = cost.shape
    if rows > columns:
        owner = assign(cost.T)
        return [owner.index(row) if row in owner else -1 for row in range(rows)]
    if rows == 0:
        return []
    cheapest: list[int] = cost.argmin(axis=1).tolist()
    if len(set(cheapest)) == rows:  # nobody wants the same column: the usual case, and nothing can be cheaper
        return cheapest
    row_price, column_price = np.zeros(rows), np.zeros(columns + 1)
    row_of = np.full(columns + 1, -1)  # the last column is where each search starts
    for row in range(rows):
        row_of[columns] = row
        column = columns
        least, came_from, done = np.full(columns + 1, np.inf), np.full(columns + 1, -1), np.zeros(columns + 1, bool)
        while row_of[column] >= 0:
            done[column] = True
            current = row_of[column]
            reduced = cost[current] - row_price[current] - column_price[:columns]
            better = ~done[:columns] & (reduced < least[:columns])
            least[:columns][better], came_from[:columns][better] = reduced[better], column
            following = int(np.where(done, np.inf, least).argmin())
            step = least[following]
            row_price[row_of[done]] += step
            column_price[done] -= step
            least[~done] -= step
            column = following
        while column != columns:
            row_of[column] = row_of[came_from[column]]
            column = int(came_from[column])
    result = [-1] * rows
    for column in range(columns):
        if row_of[column] >= 0:
            result[row_of[column]] = column
    return result
