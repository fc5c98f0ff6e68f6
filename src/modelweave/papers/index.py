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


_TABLE = """
 1  layers    2405.17082  -                               Ensembling Diffusion Models via Adaptive Feature Aggregation
 2  outputs   2310.12962  -                               An Emulator for Fine-Tuning Large Language Models using Small Language Models
 3  outputs   2302.06235  outputs.prompt_weights_03       A Simple Zero-shot Prompt Weighting Technique to Improve Prompt Ensembling in Text-Image Models
 4  outputs   2502.00674  -                               Rethinking Mixture-of-Agents: Is Mixing Different Large Language Models Beneficial?
 5  data      2009.09359  -                               Not Low-Resource Anymore: Aligner Ensembling, Batch Filtering, and New Datasets for Bengali-English MT
 6  outputs   2407.13862  outputs.geolocation_06          Enhancing Worldwide Image Geolocation by Ensembling Satellite-Based Ground-Level Attribute Predictors
 7  outputs   2406.03652  outputs.portfolios_07           Ensembling Portfolio Strategies for Long-Term Investments: A Distribution-Free Preference Framework
 8  weights   2203.05482  -                               Model soups: averaging weights of multiple fine-tuned models improves accuracy without increasing inference time
 9  outputs   2405.14702  -                               G3: An Effective and Adaptive Framework for Worldwide Geolocalization Using Large Multi-Modality Models
10  outputs   2310.07088  -                               Diversity of Thought Improves Reasoning Abilities of Large Language Models
11  outputs   2409.09173  outputs.repeated_folds_11       Phikon-v2, A large and public feature extractor for biomarker prediction
12  outputs   2312.09244  -                               Helping or Herding? Reward Model Ensembles Mitigate but do not Eliminate Reward Hacking
13  outputs   2111.02705  outputs.text_table_13           Benchmarking Multimodal AutoML for Tabular Data with Text Fields
14  training  2104.00597  -                               One-Shot Neural Ensemble Architecture Search by Diversity-Guided Search Space Shrinking
15  training  2402.14830  -                               Orca-Math: Unlocking the potential of SLMs in Grade School Math
16  layers    2302.06586  -                               Stitchable Neural Networks
17  training  2307.03741  -                               Training Ensembles with Inliers and Outliers for Semi-supervised Active Learning
18  experts   2407.06204  -                               A Survey on Mixture of Experts
19  weights   2306.16788  -                               Sparse Model Soups
20  weights   2407.02447  -                               PLeaS: Merging Models with Permutations and Least Squares
21  weights   2111.09832  -                               Merging Models with Fisher-Weighted Averaging
22  weights   2410.02396  weights.pcb_22                  Parameter Competition Balancing for Model Merging
23  analysis  2401.13177  -                               Deep Learning Model Reuse in the HuggingFace Community: Challenges, Benefit and Trends
24  layers    2212.07346  -                               Learning useful representations for shifting tasks and distributions
25  weights   2410.03617  weights.at_scale_25             What Matters for Model Merging at Scale?
26  analysis  2303.09105  -                               Rethinking Model Ensemble in Transfer-based Adversarial Attacks
27  training  2406.09406  -                               4M-21: An Any-to-Any Vision Model for Tens of Tasks and Modalities
28  training  2209.15031  -                               Automatic Data Augmentation via Invariance-Constrained Learning
29  weights   2306.01708  weights.ties_29                 Resolving Interference When Merging Models
30  layers    2312.05743  -                               Building Variable-sized Models via Learngene Pool
31  weights   2410.01335  weights.layer_swap_31           Layer Swapping for Zero-Shot Cross-Lingual Transfer in Large Language Models
32  experts   2406.15479  -                               Twin-Merging: Dynamic Integration of Modular Expertise in Model Merging
33  analysis  2406.09519  -                               Talking Heads: Understanding Inter-layer Communication in Transformer Language Models
34  training  2305.02309  -                               CodeGen2: Lessons for Training LLMs on Programming and Natural Languages
35  training  2009.14720  -                               DVERGE: Diversifying Vulnerabilities for Enhanced Robust Generation of Ensembles
36  training  2409.10643  -                               CaBaGe: Data-Free Model Extraction using ClAss BAlanced Generator Ensemble
37  training  2310.17653  -                               Fantastic Gains and Where to Find Them: General Knowledge Transfer between Any Pretrained Model
38  weights   2409.16167  -                               Merging LoRAs like Playing LEGO (LoRA-LEGO): rank-wise clustering
39  outputs   2402.06155  -                               Model Editing with Canonical Examples
40  training  2404.01413  -                               Is Model Collapse Inevitable? Breaking the Curse of Recursion by Accumulating Real and Synthetic Data
41  weights   2402.04051  -                               Analysis of Linear Mode Connectivity via Permutation-Based Weight Matching
42  weights   2312.06795  weights.breadcrumbs_42          Model Breadcrumbs: Scaling Multi-Task Model Merging with Sparse Masks
43  layers    2212.04129  -                               Deep Model Assembling
44  training  2312.06647  -                               4M: Massively Multimodal Masked Modeling
45  data      2402.03139  data.subset_chooser_45          Enhancing Neural Subset Selection: Integrating Background Information into Set Representations
46  data      2405.10185  -                               DiverGen
47  experts   2310.01334  -                               Merge, Then Compress: Demystify Efficient SMoE with Hints from Its Routing Policy
48  weights   2501.09522  weights.opcm_48                 Merging Models on the Fly Without Retraining: A Sequential Approach to Scalable Continual Model Merging
49  training  2409.03444  training.domain_adaptation_49   Fine-tuning large language models for domain adaptation: training strategies, scaling, model merging and synergistic capabilities
50  data      2502.12594  -                               PASER: Post-Training Data Selection for Efficient Pruned Large Language Model Recovery
51  analysis  2402.01502  analysis.smoothers_51           Why do Random Forests Work? Understanding Tree Ensembles as Self-Regularizing Adaptive Smoothers
52  experts   2109.10465  -                               Scalable and Efficient MoE Training for Multitask Multilingual Models
53  layers    2405.19950  -                               MM-Lego: Modular Multimodal Models with Minimal Fine-Tuning
54  layers    2204.11824  -                               Retrieval-Augmented Diffusion Models
55  analysis  2303.06877  -                               POSE: open-set model attribution
56  training  2409.00908  training.ens_loss_56            EnsLoss: Stochastic Calibrated Loss Ensembles for Preventing Overfitting in Classification
57  experts   2405.14507  -                               Unchosen Experts Can Contribute Too: Unleashing MoE Models' Power by Self-Contrast
58  data      2409.04828  -                               POINTS
59  layers    2305.12102  -                               Unified Embedding: Battle-Tested Feature Representations for Web-Scale ML Systems
"""  # noqa: E501
"""Number, level, arXiv, module of the experiment, title."""


def _paper(line: str) -> Paper:
    number, level, arxiv, module, title = line.split(maxsplit=4)
    return Paper(int(number), title, arxiv, level, "" if module == "-" else f".{module}")


PAPERS: dict[int, Paper] = {paper.number: paper for paper in map(_paper, _TABLE.strip().splitlines())}
