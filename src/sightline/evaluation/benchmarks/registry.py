"""The benchmarks by name: an explicit table. Sizes marked in a note are not verified by us."""

from __future__ import annotations

from .benchmark import Benchmark, Split
from .readers import (
    PlainColumns,
    conversations,
    dyna_math,
    hallusion,
    math_verse,
    math_vision,
    math_vista,
    mmmu_pro_standard,
    mmmu_pro_vision,
    we_math,
)
from .readers_of_looking import (
    blink,
    chart_qa,
    charxiv,
    cv_bench,
    hr_bench,
    mm_star,
    mmvp,
    natural_bench,
    ocr_bench,
    pope,
    real_world_qa,
    v_star,
    vlms_are_blind,
)

_TEST = (Split("test", "data/test-*.parquet"),)
_VISION = ("Vision Intensive", "Vision Dominant", "Vision Only")
_VISTA = ("pid", "question", "decoded_image", "choices", "precision", "answer", "question_type",
          "answer_type", "metadata", "query")  # fmt: skip
_VERSE = ("problem_index", "problem_version", "question", "image", "answer", "question_type")
_DYNA = ("id", "question", "decoded_image", "ground_truth", "answer_type", "subject", "knowledge_level")
_HALLUSION = ("category", "subcategory", "set_id", "figure_id", "question_id", "question", "gt_answer",
              "image")  # fmt: skip
_STANDARD = ("id", "question", "options", "answer", "subject", *(f"image_{k}" for k in range(1, 8)))
_GEOMETRY = PlainColumns("problem", "answer", "images")
_MMK12 = PlainColumns("question", "answer", "image", labels={"subject": "subject"})
_LOGIC = PlainColumns("question", "answer", "image", labels={"skill": "skill"})


def _vista(rows: int, only_choices: bool = False, note: str = "") -> Benchmark:
    parts = (Split("testmini", "data/testmini-*.parquet"),)
    return Benchmark("AI4Math/MathVista", parts, math_vista(only_choices), _VISTA, rows, note=note)


def _verse(rows: int, *versions: str, only_choices: bool = False, note: str = "") -> Benchmark:
    return Benchmark(
        "AI4Math/MathVerse",
        (Split("testmini", "testmini.parquet"),),
        math_verse(*versions, only_choices=only_choices),
        _VERSE,
        rows,
        config="testmini",
        note=note,
    )


def _mmmu(config: str, vision: bool = False) -> Benchmark:
    return Benchmark(
        "MMMU/MMMU_Pro",
        (Split("test", f"{config}/test-*.parquet"),),
        mmmu_pro_vision if vision else mmmu_pro_standard,
        ("id", "image", "options", "answer", "subject") if vision else _STANDARD,
        1730,
        config=config,
        note="Its official scoring guesses at random where no answer is found; here that is wrong.",
    )


def _dyna(*variants: int) -> Benchmark:
    parts = tuple(Split(f"sample_variant{n}", f"data/sample{n}-*.parquet") for n in variants)
    return Benchmark(
        "DynaMath/DynaMath_Sample", parts, dyna_math, _DYNA, 501 * len(variants),
        aggregate="dyna_math" if len(variants) > 1 else None,
    )  # fmt: skip


def _vision(split: str, rows: int) -> Benchmark:
    columns = ("id", "question", "options", "decoded_image", "answer", "level", "subject")
    return Benchmark(
        "MathLLMs/MathVision", (Split(split, f"data/{split}-*.parquet"),), math_vision, columns, rows
    )


def _hallusion(rows: int, *splits: str) -> Benchmark:
    parts = tuple(Split(split, f"data/{split}-*.parquet") for split in splits)
    return Benchmark(
        "lmms-lab-encoder/HallusionBench", parts, hallusion, _HALLUSION, rows, aggregate="hallusion"
    )  # fmt: skip


_NOT_COUNTED_HERE = "Its size is the one its card states; the copy was not at hand to count."
_COLUMNS_NOT_SEEN = "Its columns are those that other evaluations read; the set itself was not at hand."


def _blink(task: str) -> Benchmark:
    folder = task.replace(" ", "_")
    columns = ("idx", "question", "sub_task", *(f"image_{k}" for k in range(1, 5)), "choices", "answer")
    return Benchmark(
        "BLINK-Benchmark/BLINK", (Split("val", f"{folder}/val-*.parquet"),), blink, columns, None,
        config=folder, note="The validation split; the golds of the test split are not public.",
    )  # fmt: skip


_BLINK = (
    "Art_Style", "Counting", "Forensic_Detection", "Functional_Correspondence", "IQ_Test", "Jigsaw",
    "Multi-view_Reasoning", "Object_Localization", "Relative_Depth", "Relative_Reflectance",
    "Semantic_Correspondence", "Spatial_Relation", "Visual_Correspondence", "Visual_Similarity",
)  # fmt: skip


def _papo(split: str, rows: int) -> Benchmark:
    part = Split(split, f"data/{split}[-.]*")
    note = "PAPO's own data; its size is checked against a third party's count."
    return Benchmark(
        "PAPOGalaxy/PAPO_eval",
        (part,),
        conversations,
        ("messages", "images"),
        rows,
        copy_only=True,
        note=note,
    )


def _vppo(name: str, rows: int) -> Benchmark:
    note = "The part of the benchmark VPPO keeps."
    return Benchmark(
        "chamber111/VPPO-Eval", (Split(name, f"data/vppo/{name}.json"),), conversations,
        ("messages", "images"), rows, copy_only=True, note=note,
    )  # fmt: skip


def _drawn_pairs(world: str, longest: int) -> Benchmark:
    note = "Minimal pairs: a scene drawn twice with one property changed; every other changes the answer."
    return Benchmark(
        f"{world}:pairs", (), lambda row: None, (), 512, max_new_tokens=longest, aggregate="paired", note=note
    )


BENCHMARKS: dict[str, Benchmark] = {
    "shapes": Benchmark("shapes", (), lambda row: None, (), 512, max_new_tokens=48),
    "shapes-2": Benchmark("shapes-2", (), lambda row: None, (), 512, max_new_tokens=160),
    "shapes:pairs": _drawn_pairs("shapes", 48),
    "shapes-2:pairs": _drawn_pairs("shapes-2", 160),
    "mathvista": _vista(1000),
    "mathvista:choice": _vista(540, only_choices=True, note="The multiple-choice problems only."),
    "mathverse": _verse(3940),
    "mathverse:choice": _verse(2180, only_choices=True, note="The multiple-choice problems only."),
    "mathverse:vision_only": _verse(788, "Vision Only"),
    "mathverse:vision": _verse(2364, *_VISION, note="Vision Intensive, Vision Dominant and Vision Only."),
    "mathverse:vision_choice": _verse(
        1308, *_VISION, only_choices=True,
        note="Multiple choice among the vision versions; as many as PAPO's MathVerse-V.",
    ),
    "we_math": Benchmark(
        "We-Math/We-Math", (Split("testmini", "data/testmini-*.parquet"),), we_math,
        ("ID", "question", "option", "answer", "image_path", "key"), 1740, aggregate="we_math",
    ),
    "mmk12": Benchmark("FanqingM/MMK12", _TEST, _MMK12, _MMK12.columns, 2000),
    "geometry3k": Benchmark("hiyouga/geometry3k", _TEST, _GEOMETRY, _GEOMETRY.columns, 601),
    "logicvista": Benchmark(
        "lscpku/LogicVista", _TEST, _LOGIC, _LOGIC.columns, 448, ungradable=1,
        note="One gold is empty; one is a number and three are sets where the others are letters.",
    ),
    "counting": Benchmark(
        "BUAADreamer/clevr_count_70k", _TEST, _GEOMETRY, _GEOMETRY.columns, 200,
        note="CLEVR, which the papers' tables call SuperClevr Counting.",
    ),
    "mmmu_pro:standard_10": _mmmu("standard (10 options)"),
    "mmmu_pro:standard_4": _mmmu("standard (4 options)"),
    "mmmu_pro:vision": _mmmu("vision", vision=True),
    "mathvision": _vision("test", 3040),
    "mathvision:mini": _vision("testmini", 304),
    "dynamath": _dyna(*range(1, 11)),
    "dynamath:variant1": _dyna(1),
    "hallusionbench": _hallusion(951, "image"),
    "hallusionbench:all": _hallusion(1129, "image", "non_image"),
    "mmstar": Benchmark(
        "Lin-Chen/MMStar", (Split("val", "*.parquet"),), mm_star,
        ("index", "question", "image", "answer", "category", "l2_category"), 1500, note=_NOT_COUNTED_HERE,
    ),
    "pope": Benchmark(
        "lmms-lab/POPE", _TEST, pope, ("question", "answer", "image_source", "image", "category"), 9000,
        aggregate="pope", note=_NOT_COUNTED_HERE,
    ),
    "realworldqa": Benchmark(
        "lmms-lab/RealWorldQA", _TEST, real_world_qa, ("image", "question", "answer"), 765,
        note=_NOT_COUNTED_HERE,
    ),
    "cv_bench": Benchmark(
        "nyu-visionx/CV-Bench", (Split("test", "test*.parquet"),), cv_bench,
        ("type", "task", "image", "question", "choices", "answer", "source"), 2638, aggregate="cv_bench",
        note=_NOT_COUNTED_HERE,
    ),
    "chartqa": Benchmark(
        "lmms-lab/ChartQA", _TEST, chart_qa, ("type", "question", "answer", "image"), 2500,
        note=f"Numbers within 5 % of the gold are right. {_NOT_COUNTED_HERE}",
    ),
    "hr_bench:4k": Benchmark(
        "DreamMr/HR-Bench", (Split("hrbench_4k", "hr_bench_4k.parquet"),), hr_bench,
        ("index", "question", "image", "answer", "category", *"ABCD"), 800, note=_NOT_COUNTED_HERE,
    ),
    "hr_bench:8k": Benchmark(
        "DreamMr/HR-Bench", (Split("hrbench_8k", "hr_bench_8k.parquet"),), hr_bench,
        ("index", "question", "image", "answer", "category", *"ABCD"), 800, note=_NOT_COUNTED_HERE,
    ),
    **{f"blink:{task.lower()}": _blink(task) for task in _BLINK},
    "natural_bench": Benchmark(
        "BaiqiL/NaturalBench-lmms-eval", _TEST, natural_bench,
        ("Index", "Image", "Question", "Answer", "Question_Type"), 7600, aggregate="natural_bench",
        note=_NOT_COUNTED_HERE,
    ),
    "vstar": Benchmark(
        "lmms-lab/vstar-bench", _TEST, v_star, ("image", "text", "label", "category"), 191,
        note=_NOT_COUNTED_HERE,
    ),
    "vlms_are_blind": Benchmark(
        "XAI/vlmsareblind", (Split("valid", "data/valid-*.parquet"),), vlms_are_blind,
        ("task", "image", "prompt", "groundtruth"), 8016, aggregate="vlms_are_blind", note=_NOT_COUNTED_HERE,
    ),
    "mmvp": Benchmark(
        "lmms-lab-eval/MMVP", (Split("train", "data/train-*.parquet"),), mmvp,
        ("Index", "Question", "Options", "Correct Answer", "image"), 300, aggregate="mmvp",
        note=f"With the two corrected pairs. {_COLUMNS_NOT_SEEN}",
    ),
    "charxiv": Benchmark(
        "princeton-nlp/CharXiv", (Split("validation", "val*.parquet"),), charxiv,
        ("image", "category", "reasoning_q", "reasoning_a", "reasoning_a_type"), 1000,
        note=f"Its reasoning questions, by the protocol's rules and not by a judge. {_NOT_COUNTED_HERE}",
    ),
    "ocrbench": Benchmark(
        "echo840/OCRBench", _TEST, ocr_bench, ("dataset", "question", "question_type", "answer", "image"),
        1000, aggregate="ocr_bench",
        note=f"An accepted answer within the boxed one is right. {_NOT_COUNTED_HERE}",
    ),
    "geomath": Benchmark(
        "ShuoY/Look-Back-eval", (Split("geomath", "**/*[gG]eo[mM]ath*.json"),), conversations,
        ("messages", "images"), None, copy_only=True,
        note="Published only inside this set; neither its size nor its golds could be checked.",
    ),
    "papo_eval:geometry3k": _papo("hiyouga_geometry3k", 601),
    "papo_eval:mathvista": _papo("AI4Math_MathVista", 1000),
    "papo_eval:we_math": _papo("We_Math", 1740),
    "papo_eval:mmk12": _papo("PAPO_MMK12", 2000),
    "papo_eval:mathverse": _papo("AI4Math_MathVerse", 2180),
    "papo_eval:mathverse_v": _papo("AI4Math_MathVerse_vision_dependent", 1308),
    "papo_eval:logicvista": _papo("lscpku_LogicVista", 447),
    "papo_eval:counting": _papo("BUAADreamer_clevr_count_70k", 200),
    "papo_eval:mmmu_pro": _papo("MMMU_MMMU_Pro", 1730),
    "vppo_eval:dynamath": _vppo("DynaMath_DynaMath_Sample", 3666),
    "vppo_eval:mathvision": _vppo("MathLLMs_MathVision", 2907),
}  # fmt: skip
