"""RFM-VQA: vision-language reward models for robots, trained on static question-answering datasets."""
