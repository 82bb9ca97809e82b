"""Small copies of every published set with its exact columns, for `--data_dir`; results folders."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from datasets import Dataset, Features, Image, List, Value
from PIL import Image as PILImage

from sightline.evaluation.benchmarks import BENCHMARKS
from sightline.evaluation.benchmarks.item import Item
from sightline.evaluation.run.jsonl_records import Generation, write_lines
from sightline.evaluation.run.results_folder import ResultsFolder

STRING, INTEGER = Value("string"), Value("int64")


def make_image(number: int, side: int = 64) -> PILImage.Image:
    """An image of its own for every number."""
    random = np.random.default_rng(number)
    blocks = random.integers(0, 255, (4, 4, 3), dtype=np.uint8)
    return PILImage.fromarray(blocks).resize((side, side), PILImage.Resampling.NEAREST)


def png(number: int) -> dict[str, Any]:
    """The same as a cell of an image column."""
    buffer = io.BytesIO()
    make_image(number).save(buffer, format="PNG")
    return {"bytes": buffer.getvalue(), "path": None}


def write(path: Path, rows: Sequence[Mapping[str, Any]], features: Mapping[str, Any]) -> Path:
    """Rows as a parquet file with these features."""
    path.parent.mkdir(parents=True, exist_ok=True)
    columns = {name: [row.get(name) for row in rows] for name in features}
    Dataset.from_dict(columns, features=Features(features)).to_parquet(str(path))
    return path


def math_vista(root: Path) -> None:
    about = {
        "category": STRING, "context": STRING, "grade": STRING, "img_height": INTEGER, "img_width": INTEGER,
        "language": STRING, "skills": List(STRING), "source": STRING, "split": STRING, "task": STRING,
    }  # fmt: skip
    features = {
        "pid": STRING, "question": STRING, "image": STRING, "decoded_image": Image(), "choices": List(STRING),
        "unit": STRING, "precision": Value("float64"), "answer": STRING, "question_type": STRING,
        "answer_type": STRING, "metadata": about, "query": STRING,
    }  # fmt: skip
    told = {"category": "math", "task": "geometry problem solving", "source": "Geometry3K", "skills": ["x"]}
    common = {"image": "images/1.jpg", "unit": None, "metadata": told}
    rows = [
        {
            **common, "pid": "1", "question": "Which angle?", "decoded_image": png(1), "precision": None,
            "choices": ["135°", "140°", "145°"], "answer": "145°", "question_type": "multi_choice",
            "answer_type": "text", "query": "Question: Which angle?\nChoices:\n(A) 135°\n(B) 140°\n(C) 145°",
        },
        {
            **common, "pid": "2", "question": "How many?", "decoded_image": png(2), "precision": None,
            "choices": None, "answer": "4", "question_type": "free_form", "answer_type": "integer",
            "query": "Hint: an integer.\nQuestion: How many?",
        },
        {
            **common, "pid": "3", "question": "How long?", "decoded_image": png(3), "precision": 1.0,
            "choices": None, "answer": "1.2", "question_type": "free_form", "answer_type": "float",
            "query": "Hint: one decimal place.\nQuestion: How long?",
        },
        {
            **common, "pid": "4", "question": "Which two?", "decoded_image": png(4), "precision": None,
            "choices": None, "answer": "[0, 4]", "question_type": "free_form", "answer_type": "list",
            "query": "Question: Which two?",
        },
    ]  # fmt: skip
    write(root / "MathVista/data/testmini-00000-of-00001-725687bf7a18d64b.parquet", rows, features)


VERSIONS = ("Text Dominant", "Text Lite", "Vision Intensive", "Vision Dominant", "Vision Only")


def math_verse(root: Path) -> None:
    features = {
        "sample_index": STRING, "problem_index": STRING, "problem_version": STRING, "question": STRING,
        "image": Image(), "answer": STRING, "question_type": STRING,
        "metadata": {"split": STRING, "source": STRING, "subject": STRING, "subfield": STRING},
        "query_wo": STRING, "query_cot": STRING, "question_for_eval": STRING,
    }  # fmt: skip
    rows = []
    for index, (question, answer, kind) in enumerate(
        [("Find x.\nChoices:\nA:1\nB:2", "B", "multi-choice"), ("Find y.", "7", "free-form")]
    ):
        for place, version in enumerate(VERSIONS):
            rows.append(
                {
                    "sample_index": str(len(rows) + 1), "problem_index": str(index + 1),
                    "problem_version": version, "question": "" if version == "Vision Only" else question,
                    "image": png(10 + place), "answer": answer, "question_type": kind,
                    "metadata": {"split": "testmini", "subject": "Plane Geometry"},
                    "query_wo": question, "query_cot": question, "question_for_eval": question,
                }
            )  # fmt: skip
    write(root / "MathVerse/testmini.parquet", rows, features)


def we_math(root: Path) -> None:
    features = {
        "ID": STRING, "split": STRING, "knowledge concept": STRING, "question": STRING, "option": STRING,
        "answer": STRING, "key": STRING, "question number": INTEGER, "knowledge concept description": STRING,
        "image_path": Image(),
    }  # fmt: skip
    rows = []
    for steps, ids in ((2, ("1", "2", "3")), (3, ("1",))):
        for number in ids:
            for step in [*map(str, range(1, steps + 1)), "multi"]:
                rows.append(
                    {
                        "ID": number, "split": "testmini", "knowledge concept": "Angles",
                        "question": f"Step {step}?", "option": "A. 45°; B. 60°; C. 72°; D. No correct answer",
                        "answer": "B", "key": f"{steps}steps_{step}", "question number": len(rows),
                        "image_path": png(20 + len(rows)),
                    }
                )  # fmt: skip
    write(root / "We-Math/data/testmini-00000-of-00001-adbfe22dcd3558e6.parquet", rows, features)


def mmk12(root: Path) -> None:
    features = {"id": STRING, "question": STRING, "answer": STRING, "subject": STRING, "image": Image()}
    rows = [
        {"id": "1", "question": "As shown <image1>. Which? A: 1 B: 2", "answer": "A", "subject": "math",
         "image": png(41)},
        {"id": "2", "question": "Which gas? A: O2 B: N2", "answer": "B", "subject": "chemistry",
         "image": png(42)},
    ]  # fmt: skip
    write(root / "MMK12/data/test-00000-of-00001.parquet", rows, features)


def geometry3k(root: Path) -> None:
    features = {"images": List(Image()), "problem": STRING, "answer": STRING}
    rows = [
        {"images": [png(51)], "problem": "<image>Find x.", "answer": "2 \\sqrt { 221 }"},
        {"images": [png(52)], "problem": "<image>Find m \\angle 1.", "answer": "28"},
    ]
    write(root / "geometry3k/data/test-00000-of-00001.parquet", rows, features)


def counting(root: Path) -> None:
    features = {"images": List(Image()), "problem": STRING, "answer": STRING}
    rows = [
        {"images": [png(61)], "problem": "<image>How many items are there?", "answer": "3"},
        {"images": [png(62)], "problem": "<image>How many items are there?", "answer": "10"},
    ]
    write(root / "clevr_count_70k/data/test-00000-of-00001.parquet", rows, features)


def logic_vista(root: Path) -> None:
    """Four sound rows, one set of letters, one number among letters and one empty gold."""
    features = {
        "id": STRING, "image": Image(), "question": STRING, "answer": STRING, "reasoning": STRING,
        "skill": STRING, "broad_capability": STRING, "specific_capability": STRING, "imagesource": STRING,
    }  # fmt: skip
    golds = [("A", "inductive"), ("D", "deductive"), ("B", "numerical"), ("C", "spatial"),
             ("A, C", "mechanical"), ("3", "numerical"), ("", "inductive")]  # fmt: skip
    rows = [
        {"id": str(i), "image": png(70 + i), "question": "Which comes next? Select from A, B, C, D.",
         "answer": gold, "skill": skill}
        for i, (gold, skill) in enumerate(golds)
    ]  # fmt: skip
    write(root / "LogicVista/data/test-00000-of-00001.parquet", rows, features)


def mmmu_pro(root: Path) -> None:
    images = {f"image_{k}": Image() for k in range(1, 8)}
    features = {
        "id": STRING, "question": STRING, "options": STRING, "explanation": STRING, **images,
        "img_type": STRING, "answer": STRING, "topic_difficulty": STRING, "subject": STRING,
    }  # fmt: skip
    for count in (10, 4):
        values = [f"${number}" for number in range(count)]
        rows = [
            {"id": "test_1", "question": "<image 1> What is the cost?", "options": repr(values),
             "answer": "B", "subject": "Accounting", "image_1": png(81)},
            {"id": "test_2", "question": "Which image follows <image 2>?", "subject": "Art",
             "options": repr(["<image 1>", "it's none", *values[2:]]), "answer": "A",
             "image_1": png(82), "image_2": png(83)},
        ]  # fmt: skip
        write(root / f"MMMU_Pro/standard ({count} options)/test-00000-of-00001.parquet", rows, features)
    features = {"id": STRING, "image": Image(), "options": STRING, "answer": STRING, "subject": STRING}
    rows = [
        {
            "id": "test_1",
            "image": png(84),
            "options": "['1', '2', '3']",
            "answer": "C",
            "subject": "Accounting",
        }
    ]
    write(root / "MMMU_Pro/vision/test-00000-of-00002.parquet", rows, features)
    rows[0] = {**rows[0], "id": "test_2", "image": png(85), "subject": "Music"}
    write(root / "MMMU_Pro/vision/test-00001-of-00002.parquet", rows, features)


def math_vision(root: Path) -> None:
    features = {
        "id": STRING, "question": STRING, "options": List(STRING), "image": STRING, "decoded_image": Image(),
        "answer": STRING, "solution": STRING, "level": INTEGER, "subject": STRING,
    }  # fmt: skip
    rows = [
        {"id": "1", "question": "How many eyes? <image1>", "options": [], "image": "images/1.jpg",
         "decoded_image": png(91), "answer": "7", "level": 2, "subject": "counting"},
        {"id": "2", "question": "Which piece? <image1> of <image2>", "options": ["A", "B", "C", "D", "E"],
         "image": "images/2.jpg", "decoded_image": png(92), "answer": "E", "level": 4, "subject": "logic"},
    ]  # fmt: skip
    for split in ("test", "testmini"):
        write(root / f"MathVision/data/{split}-00000-of-00001-3532b8d3f1b4047a.parquet", rows, features)


def dyna_math(root: Path) -> None:
    """Three problems in ten variants."""
    features = {
        "id": STRING, "question": STRING, "image": STRING, "decoded_image": Image(), "ground_truth": STRING,
        "answer_type": STRING, "subject": STRING, "knowledge_level": STRING,
    }  # fmt: skip
    kinds = [("1", "float", "3.142"), ("2", "multiple choice", "B"), ("3", "text", "yes")]
    for variant in range(1, 11):
        rows = [
            {"id": number, "question": f"Variant {variant}?", "image": "x.png", "answer_type": kind,
             "decoded_image": png(100 + variant), "ground_truth": gold, "subject": "algebra",
             "knowledge_level": "high school"}
            for number, kind, gold in kinds
        ]  # fmt: skip
        write(root / f"DynaMath_Sample/data/sample{variant}-00000-of-00001.parquet", rows, features)


def hallusion(root: Path) -> None:
    """Two figures with two questions each, of which the pair asks about both; and a question without one."""
    names = ("category", "subcategory", "visual_input", "set_id", "figure_id", "sample_note", "question_id",
             "question", "gt_answer_details", "gt_answer", "filename")  # fmt: skip
    features = {**dict.fromkeys(names, STRING), "image": Image()}
    rows = [
        {"category": "VD", "subcategory": "illusion", "visual_input": "1", "set_id": "0",
         "figure_id": figure, "question_id": question, "question": "Are they equal?", "gt_answer": gold,
         "image": png(110 + int(figure))}
        for figure, question, gold in [("0", "0", "1"), ("0", "1", "0"), ("1", "0", "0"), ("1", "1", "1")]
    ]  # fmt: skip
    write(root / "HallusionBench/data/image-00000-of-00001.parquet", rows, features)
    without = [{**rows[0], "category": "VS", "visual_input": "0", "image": None}]
    write(root / "HallusionBench/data/non_image-00000-of-00001.parquet", without, features)


INSTRUCTION = (
    " You first think through the reasoning process as an internal monologue, enclosed within <think> "
    "</think> tags. Then, provide your final answer enclosed within \\boxed{}."
)


def conversation(path: str, question: str, gold: str) -> dict[str, Any]:
    """A row of the papers' own sets."""
    return {
        "messages": [
            {"role": "user", "content": f"<image>{question}{INSTRUCTION}"},
            {"role": "assistant", "content": gold},
        ],
        "images": [path],
    }


PAPO_SPLITS = (
    "hiyouga_geometry3k", "AI4Math_MathVista", "We_Math", "PAPO_MMK12", "AI4Math_MathVerse",
    "AI4Math_MathVerse_vision_dependent", "lscpku_LogicVista", "BUAADreamer_clevr_count_70k", "MMMU_MMMU_Pro",
)  # fmt: skip


def papo_eval(root: Path) -> None:
    features = {
        "messages": List({"role": STRING, "content": STRING}),
        "images": List(STRING),
    }
    for number, split in enumerate(PAPO_SPLITS):
        file = root / f"PAPO_eval/data/images/{split}/1.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        make_image(120 + number).save(file)
        rows = [conversation(f"./data/images/{split}/1.png", "Find x.", "B")]
        write(root / f"PAPO_eval/data/{split}-00000-of-00001.parquet", rows, features)


def loose_json(root: Path) -> None:
    """VPPO-Eval and Look-Back-eval: JSON beside images."""
    loose = [
        ("VPPO-Eval", "data/vppo/DynaMath_DynaMath_Sample.json", "./data/images/a/1.png", "2"),
        ("VPPO-Eval", "data/vppo/MathLLMs_MathVision.json", "./data/images/a/1.png", "D"),
        ("Look-Back-eval", "eval_data/GeoMath.json", "images/a/1.png", "5"),
    ]
    for folder, file, path, gold in loose:
        rows = [{"id": "1", **conversation(path, "How much?", gold)}]
        target = root / folder / file
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(json.dumps(rows))
        shown = root / folder / "data/images/a/1.png"
        shown.parent.mkdir(parents=True, exist_ok=True)
        make_image(130).save(shown)


def looking(root: Path) -> None:
    """The benchmarks that ask whether a model looks, three rows each."""
    lettered = "Which?\nOptions: A: red, B: blue, C: green, D: none"
    rows = {
        "MMStar/mmstar.parquet": {
            "index": "0", "question": lettered, "image": png(1), "answer": "B", "category": "c",
            "l2_category": "s",
        },
        "POPE/data/test-0.parquet": {
            "question": "Is there a dog?", "answer": "yes", "image_source": "COCO_1", "image": png(1),
            "category": "random",
        },
        "RealWorldQA/data/test-0.parquet": {"question": lettered, "answer": "B", "image": png(1)},
        "CV-Bench/test_2d.parquet": {
            "type": "2D", "task": "Count", "image": png(1), "question": "How many?",
            "choices": ["2", "3", "4"], "answer": "(B)", "source": "COCO",
        },
        "ChartQA/data/test-0.parquet": {
            "type": "human_test", "question": "How much?", "answer": "200", "image": png(1),
        },
    }  # fmt: skip
    for size in ("4k", "8k"):
        rows[f"HR-Bench/hr_bench_{size}.parquet"] = {
            "index": "0", "question": "Which?", "image": png(1), "answer": "C", "category": "single",
            "A": "red", "B": "blue", "C": "green", "D": "black",
        }  # fmt: skip
    for task in (name.removeprefix("blink:") for name in BENCHMARKS if name.startswith("blink:")):
        rows[f"BLINK/{BENCHMARKS[f'blink:{task}'].config}/val-0.parquet"] = {
            "idx": "0", "question": "Which?", "sub_task": task, "image_1": png(1), "image_2": png(2),
            "image_3": None, "image_4": None, "choices": ["first", "second"], "answer": "(B)",
        }  # fmt: skip
    for path, row in rows.items():
        kinds = {
            name: Image() if name.startswith("image") and name != "image_source"
            else List(STRING) if name == "choices" else STRING
            for name in row
        }  # fmt: skip
        write(root / path, [row] * 3, kinds)


def paired_and_read(root: Path) -> None:
    """NaturalBench, V*, VLMs are blind, MMVP, CharXiv and OCRBench."""
    natural = [
        {
            "Index": place, "Image": png(10 + place % 2), "Question_Type": kind,
            "Question": asked[place // 2 % 2], "Answer": golds[0 if place % 4 in (0, 3) else 1],
        }
        for kind, asked, golds, first in (
            ("yes_no", ("Is it day?", "Is it night?"), ("Yes", "No"), 0),
            ("multiple_choice", ("Where? Option: A:in;B:out;", "Who? Option: A:he;B:she;"), ("A", "B"), 4),
        )
        for place in range(first, first + 4)
    ]  # fmt: skip
    kinds = {
        "Index": INTEGER,
        "Image": Image(),
        "Question": STRING,
        "Answer": STRING,
        "Question_Type": STRING,
    }
    write(root / "NaturalBench-lmms-eval/data/test-00000-of-00001.parquet", natural, kinds)
    star = [
        {
            "image": png(n), "category": category, "label": "B", "question_id": str(n),
            "text": "What is the colour of the glove?\n(A) rubber\n(B) cotton\n(C) kevlar\n(D) leather\n"
            "Answer with the option's letter from the given choices directly.",
        }
        for n, category in enumerate(["direct_attributes", "relative_position", "direct_attributes"])
    ]  # fmt: skip
    kinds = {"image": Image(), "text": STRING, "category": STRING, "label": STRING, "question_id": STRING}
    write(root / "vstar-bench/data/test-00000-of-00001.parquet", star, kinds)
    grid = "Count the number of rows and columns and answer with numbers in curly brackets. For example, "
    blind = [
        ("Touching Circles", "Are the two circles touching each other? Answer with Yes/No.", "Yes"),
        ("Counting Grid - Blank Grids", grid + "rows={5} columns={6}", "4,5"),
        ("Counting Grid - Word Grids", grid + "rows={5} columns={6}", "3,4"),
        ("Circled Letter", "Which character is being highlighted with a red oval? e.g. {a}", "t"),
    ]
    rows = [
        {"task": task, "image": png(n), "prompt": prompt, "groundtruth": gold, "metadata": "{}"}
        for n, (task, prompt, gold) in enumerate(blind)
    ]
    kinds = {"task": STRING, "image": Image(), "prompt": STRING, "groundtruth": STRING, "metadata": STRING}
    write(root / "vlmsareblind/data/valid-00000-of-00001.parquet", rows, kinds)
    pairs = [
        {
            "Index": n, "Question": "Are the butterfly's wings closer to being open or closed?",
            "Options": "(a) Open (b) Closed", "Correct Answer": gold, "image": png(n),
        }
        for n, gold in enumerate(["(a)", "(b)", "(b)"], 1)
    ]  # fmt: skip
    kinds = {
        "Index": INTEGER, "Question": STRING, "Options": STRING, "Correct Answer": STRING, "image": Image(),
    }  # fmt: skip
    write(root / "MMVP/data/train-00000-of-00001.parquet", pairs, kinds)
    charts = [
        {
            "image": png(n), "category": "cs", "year": "20", "num_subplots": 1, "reasoning_q": f"Which {n}?",
            "reasoning_q_source": 2, "reasoning_a": gold, "reasoning_a_type": kind,
            **{f"descriptive_q{k}": k for k in range(1, 5)},
            **{f"descriptive_a{k}": "1" for k in range(1, 5)},
        }
        for n, (gold, kind) in enumerate([("ACC+", 1), ("increasing then decreasing", 2), ("0.01", 3)])
    ]  # fmt: skip
    kinds = {
        "image": Image(), "category": STRING, "year": STRING, "num_subplots": INTEGER, "reasoning_q": STRING,
        "reasoning_q_source": INTEGER, "reasoning_a": STRING, "reasoning_a_type": INTEGER,
        **{f"descriptive_q{k}": INTEGER for k in range(1, 5)},
        **{f"descriptive_a{k}": STRING for k in range(1, 5)},
    }  # fmt: skip
    write(root / "CharXiv/val.parquet", charts, kinds)
    read = [
        ("IIIT5K", "what is written in the image?", "Regular Text Recognition", ["CENTRE"]),
        ("docVQA", "What is the date?", "Doc-oriented VQA", ["July 5, 1999", "5 July 1999"]),
        ("HME100k", "Please write out the expression.", "Handwritten Mathematical Expression Recognition",
         ["x ^ { 2 } + Y"]),
    ]  # fmt: skip
    rows = [
        {"dataset": name, "question": asked, "question_type": kind, "answer": golds, "image": png(n)}
        for n, (name, asked, kind, golds) in enumerate(read)
    ]
    kinds = {
        "dataset": STRING, "question": STRING, "question_type": STRING, "answer": List(STRING),
        "image": Image(),
    }  # fmt: skip
    write(root / "OCRBench/data/test-00000-of-00001.parquet", rows, kinds)


def write_all(root: Path) -> Path:
    """A folder that holds a copy of every set of the table."""
    for writer in (math_vista, math_verse, we_math, mmk12, geometry3k, counting, logic_vista, mmmu_pro,
                   math_vision, dyna_math, hallusion, papo_eval, loose_json, looking,
                   paired_and_read):  # fmt: skip
        writer(root)
    return root


def item(number: int, answer: str = "4", **known: Any) -> Item:
    """Problem number `number` of a benchmark."""
    name = f"toy/{number}"
    given = {"question": f"Question {number}?", "choices": (), "cluster": name, **known}
    return Item(id=name, answer=answer, **given)


def generation(of: Item, text: str | None, sample: int = 0, **known: Any) -> Generation:
    """An answer to it."""
    given = {
        "benchmark": "toy", "view": "sighted", "seed": 1, "prompt": "p", "truncated": False, "tokens": 5,
        "token_ids": None, "failed": None if text is not None else "HTTP 500", "images": [],
    }  # fmt: skip
    return Generation(problem=of.id, sample=sample, text=text, **{**given, **known})


def results_folder(
    path: Path, items: Sequence[Item], generations: Sequence[Generation], **settings: Any
) -> ResultsFolder:
    """A results folder as `sightline eval` leaves it before anything is graded."""
    path.mkdir(parents=True, exist_ok=True)
    folder = ResultsFolder(path)
    write_lines(folder.problems, [{"benchmark": "toy", **one.as_dict()} for one in items])
    write_lines(folder.generations, [vars(one) for one in generations])
    about = {
        "source": "toy", "place": "here", "config": None, "splits": ["test"], "revision": None,
        "expected": None, "loaded": len(items), "used": len(items), "golds_left_out": [], "differences": [],
        "note": "", "aggregate": None,
    }  # fmt: skip
    decoding = {"samples": 1, "temperature": 0.0, "top_p": 1.0, "max_new_tokens": {"toy": 10}}
    folder.write_settings(
        {
            "kind": "evaluation", "model": "someone/model", "backend": "hf", "decoding": decoding, "seed": 0,
            "views": {"sighted": None}, "prompt": {"template": "plain"}, "sets": {"toy": about},
            "expected_samples": len(generations), "protocol": "strict", **settings,
        }
    )  # fmt: skip
    return folder
