"""The papers that modelweave sets out to implement, and where the experiments of those it has stand."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Paper:
    """number: as in the rows of the catalog. module: of its experiment, relative to this package or absolute; empty if there is none."""

    number: int
    title: str
    arxiv: str
    level: str
    module: str = ""


_ALL = (
    Paper(1, "Ensembling Diffusion Models via Adaptive Feature Aggregation", "2405.17082", "layers"),
    Paper(2, "An Emulator for Fine-Tuning Large Language Models using Small Language Models", "2310.12962", "outputs"),
    Paper(
        3,
        "A Simple Zero-shot Prompt Weighting Technique to Improve Prompt Ensembling in Text-Image Models",
        "2302.06235",
        "outputs",
        ".outputs.prompt_weights_03",
    ),
    Paper(4, "Rethinking Mixture-of-Agents: Is Mixing Different Large Language Models Beneficial?", "2502.00674", "outputs"),
    Paper(
        5, "Not Low-Resource Anymore: Aligner Ensembling, Batch Filtering, and New Datasets for Bengali-English MT", "2009.09359", "data"
    ),
    Paper(
        6,
        "Enhancing Worldwide Image Geolocation by Ensembling Satellite-Based Ground-Level Attribute Predictors",
        "2407.13862",
        "outputs",
        ".outputs.geolocation_06",
    ),
    Paper(
        7,
        "Ensembling Portfolio Strategies for Long-Term Investments: A Distribution-Free Preference Framework",
        "2406.03652",
        "outputs",
        ".outputs.portfolios_07",
    ),
    Paper(
        8,
        "Model soups: averaging weights of multiple fine-tuned models improves accuracy without increasing inference time",
        "2203.05482",
        "weights",
    ),
    Paper(
        9,
        "G3: An Effective and Adaptive Framework for Worldwide Geolocalization Using Large Multi-Modality Models",
        "2405.14702",
        "outputs",
    ),
    Paper(10, "Diversity of Thought Improves Reasoning Abilities of Large Language Models", "2310.07088", "outputs"),
    Paper(
        11,
        "Phikon-v2, A large and public feature extractor for biomarker prediction",
        "2409.09173",
        "outputs",
        ".outputs.repeated_folds_11",
    ),
    Paper(12, "Helping or Herding? Reward Model Ensembles Mitigate but do not Eliminate Reward Hacking", "2312.09244", "outputs"),
    Paper(13, "Benchmarking Multimodal AutoML for Tabular Data with Text Fields", "2111.02705", "outputs", ".outputs.text_table_13"),
    Paper(14, "One-Shot Neural Ensemble Architecture Search by Diversity-Guided Search Space Shrinking", "2104.00597", "training"),
    Paper(15, "Orca-Math: Unlocking the potential of SLMs in Grade School Math", "2402.14830", "training"),
    Paper(16, "Stitchable Neural Networks", "2302.06586", "layers"),
    Paper(17, "Training Ensembles with Inliers and Outliers for Semi-supervised Active Learning", "2307.03741", "training"),
    Paper(18, "A Survey on Mixture of Experts", "2407.06204", "experts"),
    Paper(19, "Sparse Model Soups", "2306.16788", "weights"),
    Paper(20, "PLeaS: Merging Models with Permutations and Least Squares", "2407.02447", "weights"),
    Paper(21, "Merging Models with Fisher-Weighted Averaging", "2111.09832", "weights"),
    Paper(22, "Parameter Competition Balancing for Model Merging", "2410.02396", "weights", ".weights.pcb_22"),
    Paper(23, "Deep Learning Model Reuse in the HuggingFace Community: Challenges, Benefit and Trends", "2401.13177", "analysis"),
    Paper(24, "Learning useful representations for shifting tasks and distributions", "2212.07346", "layers"),
    Paper(25, "What Matters for Model Merging at Scale?", "2410.03617", "weights", ".weights.at_scale_25"),
    Paper(26, "Rethinking Model Ensemble in Transfer-based Adversarial Attacks", "2303.09105", "analysis"),
    Paper(27, "4M-21: An Any-to-Any Vision Model for Tens of Tasks and Modalities", "2406.09406", "training"),
    Paper(28, "Automatic Data Augmentation via Invariance-Constrained Learning", "2209.15031", "training"),
    Paper(29, "Resolving Interference When Merging Models", "2306.01708", "weights", ".weights.ties_29"),
    Paper(30, "Building Variable-sized Models via Learngene Pool", "2312.05743", "layers"),
    Paper(
        31,
        "Layer Swapping for Zero-Shot Cross-Lingual Transfer in Large Language Models",
        "2410.01335",
        "weights",
        ".weights.layer_swap_31",
    ),
    Paper(32, "Twin-Merging: Dynamic Integration of Modular Expertise in Model Merging", "2406.15479", "experts"),
    Paper(33, "Talking Heads: Understanding Inter-layer Communication in Transformer Language Models", "2406.09519", "analysis"),
    Paper(34, "CodeGen2: Lessons for Training LLMs on Programming and Natural Languages", "2305.02309", "training"),
    Paper(35, "DVERGE: Diversifying Vulnerabilities for Enhanced Robust Generation of Ensembles", "2009.14720", "training"),
    Paper(36, "CaBaGe: Data-Free Model Extraction using ClAss BAlanced Generator Ensemble", "2409.10643", "training"),
    Paper(37, "Fantastic Gains and Where to Find Them: General Knowledge Transfer between Any Pretrained Model", "2310.17653", "training"),
    Paper(38, "Merging LoRAs like Playing LEGO (LoRA-LEGO): rank-wise clustering", "2409.16167", "weights"),
    Paper(39, "Model Editing with Canonical Examples", "2402.06155", "outputs"),
    Paper(
        40,
        "Is Model Collapse Inevitable? Breaking the Curse of Recursion by Accumulating Real and Synthetic Data",
        "2404.01413",
        "training",
    ),
    Paper(41, "Analysis of Linear Mode Connectivity via Permutation-Based Weight Matching", "2402.04051", "weights"),
    Paper(42, "Model Breadcrumbs: Scaling Multi-Task Model Merging with Sparse Masks", "2312.06795", "weights", ".weights.breadcrumbs_42"),
    Paper(43, "Deep Model Assembling", "2212.04129", "layers"),
    Paper(44, "4M: Massively Multimodal Masked Modeling", "2312.06647", "training"),
    Paper(
        45,
        "Enhancing Neural Subset Selection: Integrating Background Information into Set Representations",
        "2402.03139",
        "data",
        ".data.subset_chooser_45",
    ),
    Paper(46, "DiverGen", "2405.10185", "data"),
    Paper(47, "Merge, Then Compress: Demystify Efficient SMoE with Hints from Its Routing Policy", "2310.01334", "experts"),
    Paper(
        48,
        "Merging Models on the Fly Without Retraining: A Sequential Approach to Scalable Continual Model Merging",
        "2501.09522",
        "weights",
        ".weights.opcm_48",
    ),
    Paper(
        49,
        "Fine-tuning large language models for domain adaptation: training strategies, scaling, model merging and synergistic capabilities",
        "2409.03444",
        "training",
        ".training.domain_adaptation_49",
    ),
    Paper(50, "PASER: Post-Training Data Selection for Efficient Pruned Large Language Model Recovery", "2502.12594", "data"),
    Paper(
        51,
        "Why do Random Forests Work? Understanding Tree Ensembles as Self-Regularizing Adaptive Smoothers",
        "2402.01502",
        "analysis",
        ".analysis.smoothers_51",
    ),
    Paper(52, "Scalable and Efficient MoE Training for Multitask Multilingual Models", "2109.10465", "experts"),
    Paper(53, "MM-Lego: Modular Multimodal Models with Minimal Fine-Tuning", "2405.19950", "layers"),
    Paper(54, "Retrieval-Augmented Diffusion Models", "2204.11824", "layers"),
    Paper(55, "POSE: open-set model attribution", "2303.06877", "analysis"),
    Paper(
        56,
        "EnsLoss: Stochastic Calibrated Loss Ensembles for Preventing Overfitting in Classification",
        "2409.00908",
        "training",
        ".training.ens_loss_56",
    ),
    Paper(57, "Unchosen Experts Can Contribute Too: Unleashing MoE Models' Power by Self-Contrast", "2405.14507", "experts"),
    Paper(58, "POINTS", "2409.04828", "data"),
    Paper(59, "Unified Embedding: Battle-Tested Feature Representations for Web-Scale ML Systems", "2305.12102", "layers"),
)

PAPERS: dict[int, Paper] = {paper.number: paper for paper in _ALL}
