"""One evaluation: questions asked, answers stored and graded, `results.json` made from its folder."""
